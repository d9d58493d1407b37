// Judges leaves with Go's standard library, as a peer written in Go would: one JSON object per line comes in, one line per
// leaf goes out, "ok" or what is wrong. Beside the chain and the usages it checks what X.509-SVID asks of a leaf.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

type question struct {
	Chain string `json:"chain"`
	Roots string `json:"roots"`
	URI   string `json:"uri"`
}

func certificates(text string) ([]*x509.Certificate, error) {
	var found []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return found, nil
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		found = append(found, certificate)
	}
}

func pool(certificates []*x509.Certificate) *x509.CertPool {
	made := x509.NewCertPool()
	for _, certificate := range certificates {
		made.AddCert(certificate)
	}
	return made
}

func identityOf(leaf *x509.Certificate, wanted string) error {
	switch {
	case len(leaf.URIs) != 1:
		return fmt.Errorf("%d URI names", len(leaf.URIs))
	case leaf.URIs[0].Scheme != "spiffe" || leaf.URIs[0].String() != wanted:
		return fmt.Errorf("named %s instead of %s", leaf.URIs[0], wanted)
	case leaf.IsCA || !leaf.BasicConstraintsValid:
		return errors.New("a CA certificate, or one that does not say that it is none")
	case leaf.KeyUsage != x509.KeyUsageDigitalSignature:
		return fmt.Errorf("key usage %d", leaf.KeyUsage)
	}
	return nil
}

func judge(asked question) error {
	chain, err := certificates(asked.Chain)
	if err != nil {
		return err
	}
	roots, err := certificates(asked.Roots)
	if err != nil {
		return err
	}
	if len(chain) == 0 {
		return errors.New("no certificate")
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		options := x509.VerifyOptions{
			Roots:         pool(roots),
			Intermediates: pool(chain[1:]),
			KeyUsages:     []x509.ExtKeyUsage{usage},
		}
		if _, err := chain[0].Verify(options); err != nil {
			return err
		}
	}
	return identityOf(chain[0], asked.URI)
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var asked question
		err := json.Unmarshal(lines.Bytes(), &asked)
		if err == nil {
			err = judge(asked)
		}
		if err == nil {
			fmt.Println("ok")
		} else {
			fmt.Println(err)
		}
	}
}
