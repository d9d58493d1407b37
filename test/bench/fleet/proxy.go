package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const method = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

// What Envoy asks for once it knows clusters, and once it knows its inbound listener.
var (
	clusterSecrets  = []string{"service-cert", "root-cert-for-mtls"}
	listenerSecrets = []string{"root-cert-for-mtls-inbound"}
)

// A pause before a proxy whose stream was refused or lost comes again.
const comeAgain = 500 * time.Millisecond

// Proxies behind one source address: a server may bound connections of one address.
const perAddress = 500

// What a proxy takes before it says so, bytes: as the bootstrap of injected sidecars has it.
const window = 64 << 10

// monotonic is a clock that all processes of this machine share, milliseconds.
func monotonic() float64 {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return 0
	}
	return float64(now.Sec)*1e3 + float64(now.Nsec)/1e6
}

// raw hands bytes through.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = data
	return nil
}
func (raw) Name() string { return "proto" }

// target is where proxies connect.
type target struct {
	address, serverName string
	root                *x509.CertPool
}

// proxy is one simulated Envoy: one connection, one stream.
type proxy struct {
	index int
	token string
	fleet *fleet
	// follows says whether it asks for more by what it is given; a bare one only acknowledges.
	follows bool

	mu       sync.Mutex
	held     [typeCount]map[string]string
	wanted   [typeCount]map[string]bool
	answered [typeCount]bool
	// Of the stream that is open: whether that type was asked for.
	asked      [typeCount]bool
	configured chan struct{}
	isDone     bool
	cancel     context.CancelFunc
	closed     atomic.Bool
	told       atomic.Int64
	expected   []*expectation
}

func newProxy(f *fleet, index int, token string, follows bool) *proxy {
	p := &proxy{index: index, token: token, fleet: f, follows: follows, configured: make(chan struct{})}
	for kind := range p.held {
		p.held[kind] = map[string]string{}
		p.wanted[kind] = map[string]bool{}
	}
	return p
}

// run keeps a stream open until the proxy is closed.
func (p *proxy) run(to target, after time.Duration) {
	time.Sleep(after)
	for !p.closed.Load() {
		if err := p.stream(to); err != nil && !p.closed.Load() && status.Code(err) != codes.Canceled {
			p.fleet.failures.Add(1)
			if p.fleet.failures.Load() <= 3 {
				fmt.Fprintf(os.Stderr, "proxy %d: %v\n", p.index, err)
			}
			time.Sleep(comeAgain)
		}
	}
}

func (p *proxy) close() {
	p.closed.Store(true)
	p.end()
}

// end breaks the connection; a proxy that is not closed comes again.
func (p *proxy) end() {
	p.mu.Lock()
	cancel := p.cancel
	p.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

func (p *proxy) stream(to target) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	source := &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+p.index/perAddress))}
	dialer := &net.Dialer{LocalAddr: source}
	creds := credentials.NewTLS(&tls.Config{RootCAs: to.root, ServerName: to.serverName, MinVersion: tls.VersionTLS13})
	connection, err := grpc.NewClient("passthrough:///"+to.address,
		grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		}),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.MaxCallRecvMsgSize(1<<30)),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window),
		grpc.WithReadBufferSize(16<<10), grpc.WithWriteBufferSize(4<<10),
		grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), grpc.WithDisableHealthCheck(),
	)
	if err != nil {
		return err
	}
	defer connection.Close()
	if p.token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+p.token)
	}
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.cancel = cancel
	p.asked = [typeCount]bool{}
	p.mu.Unlock()
	if p.closed.Load() {
		return nil
	}
	if err := p.begin(stream); err != nil {
		return err
	}
	for {
		var message []byte
		if err := stream.RecvMsg(&message); err != nil {
			return err
		}
		if err := p.receive(stream, message); err != nil {
			return err
		}
	}
}

func (p *proxy) send(stream grpc.ClientStream, r request) error {
	p.asked[r.kind] = true
	bytes := r.encode()
	return stream.SendMsg(&bytes)
}

// begin asks for clusters; a proxy that comes again asks for all it had, by the versions that it holds.
func (p *proxy) begin(stream grpc.ClientStream) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	node := fmt.Sprintf("bench-%d", p.index)
	if !p.isDone {
		return p.send(stream, request{node: node, kind: clusters})
	}
	for kind := range typeUrls {
		again := request{kind: kind, held: p.held[kind]}
		if kind == clusters {
			again.node = node
		}
		for name := range p.wanted[kind] {
			again.subscribe = append(again.subscribe, name)
		}
		if err := p.send(stream, again); err != nil {
			return err
		}
	}
	return nil
}

func (p *proxy) receive(stream grpc.ClientStream, message []byte) error {
	r := decodeResponse(message)
	if r.kind < 0 {
		return fmt.Errorf("a response of an unknown type")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.send(stream, request{kind: r.kind, nonce: r.nonce}); err != nil {
		return err
	}
	now := monotonic()
	p.fleet.count(p, r, len(message), now)
	p.answered[r.kind] = true
	held := p.held[r.kind]
	for _, item := range r.resources {
		held[item.name] = item.version
	}
	for _, name := range r.removed {
		delete(held, name)
	}
	if p.follows {
		if err := p.follow(stream, r); err != nil {
			return err
		}
	}
	p.meet(r, now)
	p.look()
	return nil
}

// follow asks for what the response leads to, as Envoy does: endpoints and secrets after clusters, listeners when both are
// there, route tables after listeners.
func (p *proxy) follow(stream grpc.ClientStream, r response) error {
	next := -1
	switch r.kind {
	case clusters:
		next = endpoints
		if err := p.want(stream, secrets, clusterSecrets, nil); err != nil {
			return err
		}
	case listeners:
		next = routes
		if err := p.want(stream, secrets, listenerSecrets, nil); err != nil {
			return err
		}
	}
	if next >= 0 {
		var names []string
		for _, item := range r.resources {
			names = append(names, neededBy(r.kind, item)...)
		}
		gone := r.removed
		if next == routes {
			// A listener's name is not that of its route table, unless it is one that is held.
			gone = nil
			for _, name := range r.removed {
				if p.wanted[routes][name] {
					gone = append(gone, name)
				}
			}
		}
		if err := p.want(stream, next, names, gone); err != nil {
			return err
		}
	}
	if !p.asked[listeners] && p.has(endpoints) && p.has(secrets) {
		return p.send(stream, request{kind: listeners})
	}
	return nil
}

// want subscribes to names that are new, and ends what is wanted no more.
func (p *proxy) want(stream grpc.ClientStream, kind int, names, gone []string) error {
	r := request{kind: kind}
	for _, name := range names {
		if !p.wanted[kind][name] {
			p.wanted[kind][name] = true
			r.subscribe = append(r.subscribe, name)
		}
	}
	for _, name := range gone {
		if p.wanted[kind][name] {
			delete(p.wanted[kind], name)
			delete(p.held[kind], name)
			r.unsubscribe = append(r.unsubscribe, name)
		}
	}
	if len(r.subscribe) == 0 && len(r.unsubscribe) == 0 {
		return nil
	}
	return p.send(stream, r)
}

// has says whether all that is wanted of a type is held.
func (p *proxy) has(kind int) bool {
	for name := range p.wanted[kind] {
		if _, ok := p.held[kind][name]; !ok {
			return false
		}
	}
	return true
}

func (p *proxy) isConfigured() bool {
	if !p.follows {
		return p.answered[endpoints]
	}
	return p.answered[clusters] && p.answered[listeners] && p.has(endpoints) && p.has(secrets) && p.has(routes)
}

func (p *proxy) look() {
	if p.isDone || !p.isConfigured() {
		return
	}
	p.isDone = true
	close(p.configured)
}

// missing names what a proxy that is not configured waits for.
func (p *proxy) missing() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for kind := range typeUrls {
		for name := range p.wanted[kind] {
			if _, ok := p.held[kind][name]; !ok && len(names) < 5 {
				names = append(names, typeUrls[kind][len(prefix):]+" "+name)
			}
		}
	}
	return append(names, fmt.Sprintf("answered %v", p.answered))
}

// meet tells expectations of this proxy that what they wait for is here.
func (p *proxy) meet(r response, now float64) {
	left := p.expected[:0]
	for _, expected := range p.expected {
		if expected.metBy(r) {
			p.fleet.met(expected, now)
		} else {
			left = append(left, expected)
		}
	}
	p.expected = left
}

// expectation is content that some proxies are to receive.
type expectation struct {
	kind     int
	name     string
	contains []byte
	lacks    []byte
	isGone   bool
}

func (e *expectation) metBy(r response) bool {
	if r.kind != e.kind {
		return false
	}
	if e.isGone {
		for _, name := range r.removed {
			if name == e.name {
				return true
			}
		}
		return false
	}
	for _, item := range r.resources {
		if item.name == e.name && (e.contains == nil || bytes.Contains(item.body, e.contains)) &&
			(e.lacks == nil || !bytes.Contains(item.body, e.lacks)) {
			return true
		}
	}
	return false
}
