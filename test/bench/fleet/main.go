// A fleet of simulated proxies for the benchmark: each has a connection with TLS, an identity, and one delta ADS stream on
// which it subscribes as Envoy does and acknowledges. Told what to do by lines of JSON on stdin, answers by lines on stdout.
// Arrival is judged here, by the content of what was received.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

type fleet struct {
	proxies  []*proxy
	to       target
	failures atomic.Int64

	mu      sync.Mutex
	counts  counts
	touched map[int]bool
	left    int
	isArmed bool
	first   float64
	last    float64
	saying  sync.Mutex
	out     *json.Encoder
}

// counts are sums over all proxies since the last reset.
type counts struct {
	Responses int64            `json:"responses"`
	Bytes     int64            `json:"bytes"`
	Resources int64            `json:"resources"`
	Removed   int64            `json:"removed"`
	LastAt    float64          `json:"lastAt"`
	ByType    [typeCount]int64 `json:"byType"`
}

func (f *fleet) count(p *proxy, r response, size int, now float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts.Responses++
	f.counts.Bytes += int64(size)
	f.counts.Resources += int64(len(r.resources))
	f.counts.Removed += int64(len(r.removed))
	f.counts.LastAt = now
	f.counts.ByType[r.kind]++
	f.touched[p.index] = true
}

func (f *fleet) met(_ *expectation, now float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first == 0 {
		f.first = now
	}
	f.last = now
	f.left--
	f.report()
}

// report says that all that was expected has come.
func (f *fleet) report() {
	if f.left > 0 || !f.isArmed {
		return
	}
	f.isArmed = false
	f.say(map[string]any{"op": "done", "first": f.first, "last": f.last})
}

func (f *fleet) say(answer any) {
	f.saying.Lock()
	defer f.saying.Unlock()
	if err := f.out.Encode(answer); err != nil {
		os.Exit(1)
	}
}

type condition struct {
	Type     string `json:"type"`
	Name     string `json:"name"`
	Contains string `json:"contains"`
	Lacks    string `json:"lacks"`
	Gone     bool   `json:"gone"`
	// UnlessHeld: a proxy that holds the resource already has it.
	UnlessHeld bool `json:"unlessHeld"`
	// Proxies by number; absent: all.
	Proxies []int `json:"proxies"`
}

type command struct {
	Op         string      `json:"op"`
	Address    string      `json:"address"`
	Root       string      `json:"root"`
	ServerName string      `json:"serverName"`
	Tokens     []string    `json:"tokens"`
	Bare       bool        `json:"bare"`
	Parallel   int         `json:"parallel"`
	Conditions []condition `json:"conditions"`
	QuietMs    float64     `json:"quietMs"`
	Proxies    []int       `json:"proxies"`
	SpreadMs   int         `json:"spreadMs"`
	TimeoutMs  int         `json:"timeoutMs"`
}

func optional(text string) []byte {
	if text == "" {
		return nil
	}
	return []byte(text)
}

// connect adds proxies, some at a time, and answers when all are configured.
func (f *fleet) connect(c command) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(c.Root))
	f.to = target{address: c.Address, serverName: c.ServerName, root: pool}
	added := make([]*proxy, len(c.Tokens))
	for i, token := range c.Tokens {
		added[i] = newProxy(f, len(f.proxies)+i, token, !c.Bare)
	}
	f.proxies = append(f.proxies, added...)
	f.start(added, c)
}

// start runs proxies and answers when all are configured.
func (f *fleet) start(added []*proxy, c command) {
	turns := make(chan struct{}, max(1, c.Parallel))
	deadline := time.After(time.Duration(c.TimeoutMs) * time.Millisecond)
	var wait sync.WaitGroup
	for _, p := range added {
		turns <- struct{}{}
		wait.Add(1)
		go p.run(f.to, 0)
		go func() {
			select {
			case <-p.configured:
			case <-deadline:
				fmt.Fprintf(os.Stderr, "proxy %d waits for %v\n", p.index, p.missing())
				os.Exit(1)
			}
			<-turns
			wait.Done()
		}()
	}
	wait.Wait()
	f.say(map[string]any{"op": "connected", "at": monotonic()})
}

// expect arms conditions and resets the sums.
func (f *fleet) expect(c command) {
	f.mu.Lock()
	f.counts, f.touched, f.first, f.last, f.left = counts{}, map[int]bool{}, 0, 0, 0
	f.mu.Unlock()
	for _, wanted := range c.Conditions {
		e := &expectation{kind: typeIndex(wanted.Type), name: wanted.Name, contains: optional(wanted.Contains),
			lacks: optional(wanted.Lacks), isGone: wanted.Gone}
		for _, p := range f.chosen(wanted.Proxies) {
			p.mu.Lock()
			_, held := p.held[e.kind][e.name]
			if !wanted.UnlessHeld || !held {
				p.expected = append(p.expected, e)
				f.mu.Lock()
				f.left++
				f.mu.Unlock()
			}
			p.mu.Unlock()
		}
	}
	f.mu.Lock()
	f.isArmed = true
	f.say(map[string]any{"op": "armed", "expected": f.left})
	f.report()
	f.mu.Unlock()
}

func (f *fleet) chosen(numbers []int) []*proxy {
	if numbers == nil {
		return f.proxies
	}
	some := make([]*proxy, 0, len(numbers))
	for _, number := range numbers {
		if number < len(f.proxies) {
			some = append(some, f.proxies[number])
		}
	}
	return some
}

// quiet waits until nothing has come for a while, and answers with the sums.
func (f *fleet) quiet(c command) {
	since := monotonic()
	for {
		f.mu.Lock()
		last, sums, told := max(f.counts.LastAt, since), f.counts, len(f.touched)
		f.mu.Unlock()
		left := last + c.QuietMs - monotonic()
		if left <= 0 {
			f.say(map[string]any{"op": "quiet", "counts": sums, "told": told, "failures": f.failures.Load()})
			return
		}
		time.Sleep(time.Duration(left * float64(time.Millisecond)))
	}
}

// breakAll ends the connections of these proxies, which come again; spread over a time.
func (f *fleet) breakAll(c command) {
	for _, p := range f.chosen(c.Proxies) {
		go func() {
			time.Sleep(time.Duration(rand.Intn(c.SpreadMs+1)) * time.Millisecond)
			p.end()
		}()
	}
	f.say(map[string]any{"op": "broken"})
}

// replace ends proxies for good and puts others, with other identities, in their place.
func (f *fleet) replace(c command) {
	fresh := make([]*proxy, 0, len(c.Proxies))
	for i, number := range c.Proxies {
		f.proxies[number].close()
		f.proxies[number] = newProxy(f, number, c.Tokens[i], true)
		fresh = append(fresh, f.proxies[number])
	}
	f.start(fresh, c)
}

func (f *fleet) disconnect() {
	for _, p := range f.proxies {
		p.close()
	}
	f.proxies = nil
	f.failures.Store(0)
	f.say(map[string]any{"op": "disconnected"})
}

func (f *fleet) obey(c command) {
	switch c.Op {
	case "connect":
		f.connect(c)
	case "expect":
		f.expect(c)
	case "quiet":
		f.quiet(c)
	case "break":
		f.breakAll(c)
	case "replace":
		f.replace(c)
	case "disconnect":
		f.disconnect()
	default:
		fmt.Fprintf(os.Stderr, "unknown: %s\n", c.Op)
		os.Exit(2)
	}
}

func main() {
	f := &fleet{touched: map[int]bool{}, out: json.NewEncoder(os.Stdout)}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<28)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		f.obey(c)
	}
}
