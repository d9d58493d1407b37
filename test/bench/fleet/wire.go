package main

import (
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
)

// The types of configuration, in the order in which a proxy comes to ask for them.
const (
	clusters = iota
	endpoints
	secrets
	listeners
	routes
	typeCount
)

const prefix = "type.googleapis.com/"

var typeUrls = [typeCount]string{
	prefix + "envoy.config.cluster.v3.Cluster",
	prefix + "envoy.config.endpoint.v3.ClusterLoadAssignment",
	prefix + "envoy.extensions.transport_sockets.tls.v3.Secret",
	prefix + "envoy.config.listener.v3.Listener",
	prefix + "envoy.config.route.v3.RouteConfiguration",
}

const edsType = 3

const connectionManager = prefix + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"

func typeIndex(url string) int {
	for index, known := range typeUrls {
		if known == url {
			return index
		}
	}
	return -1
}

type resource struct {
	name    string
	version string
	body    []byte
}

type response struct {
	kind      int
	nonce     string
	resources []resource
	removed   []string
}

// fields calls read with every length-delimited field; others are skipped. Numbers come by number.
func fields(bytes []byte, read func(field protowire.Number, value []byte), number func(field protowire.Number, value uint64)) {
	for len(bytes) > 0 {
		field, wire, n := protowire.ConsumeTag(bytes)
		if n < 0 {
			return
		}
		bytes = bytes[n:]
		switch wire {
		case protowire.BytesType:
			value, n := protowire.ConsumeBytes(bytes)
			if n < 0 {
				return
			}
			read(field, value)
			bytes = bytes[n:]
		case protowire.VarintType:
			value, n := protowire.ConsumeVarint(bytes)
			if n < 0 {
				return
			}
			if number != nil {
				number(field, value)
			}
			bytes = bytes[n:]
		default:
			n := protowire.ConsumeFieldValue(field, wire, bytes)
			if n < 0 {
				return
			}
			bytes = bytes[n:]
		}
	}
}

// interned keeps one copy of names and versions, which all proxies share.
var interned sync.Map

func intern(bytes []byte) string {
	if known, ok := interned.Load(string(bytes)); ok {
		return known.(string)
	}
	text := string(bytes)
	interned.Store(text, text)
	return text
}

func decodeResource(bytes []byte) (r resource) {
	fields(bytes, func(field protowire.Number, value []byte) {
		switch field {
		case 1:
			r.version = intern(value)
		case 3:
			r.name = intern(value)
		case 2:
			fields(value, func(inner protowire.Number, body []byte) {
				if inner == 2 {
					r.body = body
				}
			}, nil)
		}
	}, nil)
	return r
}

func decodeResponse(bytes []byte) (r response) {
	r.kind = -1
	fields(bytes, func(field protowire.Number, value []byte) {
		switch field {
		case 2:
			r.resources = append(r.resources, decodeResource(value))
		case 4:
			r.kind = typeIndex(string(value))
		case 5:
			r.nonce = string(value)
		case 6:
			r.removed = append(r.removed, intern(value))
		}
	}, nil)
	return r
}

// needs remembers what a cluster or a listener asks for next; the same bytes ask for the same.
var needs sync.Map

type needsKey struct {
	kind          int
	name, version string
}

// neededBy names the endpoints of a cluster, or the route tables of a listener.
func neededBy(kind int, r resource) []string {
	key := needsKey{kind, r.name, r.version}
	if known, ok := needs.Load(key); ok {
		return known.([]string)
	}
	var names []string
	if kind == clusters {
		names = endpointsOf(r)
	} else {
		names = routesOf(r.body)
	}
	needs.Store(key, names)
	return names
}

func endpointsOf(r resource) []string {
	discovery, name := uint64(0), r.name
	fields(r.body, func(field protowire.Number, value []byte) {
		if field == 3 {
			fields(value, func(inner protowire.Number, text []byte) {
				if inner == 2 {
					name = string(text)
				}
			}, nil)
		}
	}, func(field protowire.Number, value uint64) {
		if field == 2 {
			discovery = value
		}
	})
	if discovery != edsType {
		return nil
	}
	return []string{name}
}

func routesOf(listener []byte) (names []string) {
	fields(listener, func(field protowire.Number, chain []byte) {
		if field != 3 && field != 25 {
			return
		}
		fields(chain, func(field protowire.Number, filter []byte) {
			if field != 3 {
				return
			}
			fields(filter, func(field protowire.Number, any []byte) {
				if field == 4 {
					names = append(names, routeOf(any)...)
				}
			}, nil)
		}, nil)
	}, nil)
	return names
}

func routeOf(any []byte) (names []string) {
	url := ""
	fields(any, func(field protowire.Number, value []byte) {
		if field == 1 {
			url = string(value)
		}
		if field != 2 || url != connectionManager {
			return
		}
		fields(value, func(field protowire.Number, rds []byte) {
			if field != 3 {
				return
			}
			fields(rds, func(field protowire.Number, name []byte) {
				if field == 2 {
					names = append(names, string(name))
				}
			}, nil)
		}, nil)
	}, nil)
	return names
}

func text(out []byte, field protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(out, field, protowire.BytesType), value)
}

func message(out []byte, field protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(out, field, protowire.BytesType), value)
}

type request struct {
	node        string
	kind        int
	subscribe   []string
	unsubscribe []string
	held        map[string]string
	nonce       string
}

func (r request) encode() []byte {
	var out []byte
	if r.node != "" {
		out = message(out, 1, text(nil, 1, r.node))
	}
	out = text(out, 2, typeUrls[r.kind])
	for _, name := range r.subscribe {
		out = text(out, 3, name)
	}
	for _, name := range r.unsubscribe {
		out = text(out, 4, name)
	}
	for name, version := range r.held {
		out = message(out, 5, text(text(nil, 1, name), 2, version))
	}
	if r.nonce != "" {
		out = text(out, 6, r.nonce)
	}
	return out
}
