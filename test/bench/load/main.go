// Load for the benchmark of the data plane. `load serve ADDRESS` answers every request with 1 KB; `load call ADDRESS HOST RATE
// CONNECTIONS SECONDS` asks at a rate on kept connections and prints what it took, in microseconds, as one line of JSON.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

func serve(address string) {
	body := []byte(strings.Repeat("x", 1024))
	log.Fatal(http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(body)
	})))
}

type lane struct {
	took   []int64
	failed int
}

// drive asks on one connection; a request that is due while another is under way is made as soon as that is over.
func (l *lane) drive(address, host string, every time.Duration, offset time.Duration, until time.Time) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		l.failed++
		return
	}
	defer connection.Close()
	reader := bufio.NewReader(connection)
	request := []byte("GET /bench HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: bench\r\n\r\n")
	next := time.Now().Add(offset)
	for next.Before(until) && time.Now().Before(until) {
		time.Sleep(time.Until(next))
		next = next.Add(every)
		began := time.Now()
		if _, err := connection.Write(request); err != nil {
			l.failed++
			return
		}
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			l.failed++
			return
		}
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			l.failed++
			continue
		}
		l.took = append(l.took, time.Since(began).Microseconds())
	}
}

func call(address, host string, rate, connections int, seconds float64) {
	lanes := make([]lane, connections)
	until := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	every := time.Duration(connections) * time.Second / time.Duration(rate)
	var wait sync.WaitGroup
	for i := range lanes {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			lanes[i].drive(address, host, every, every*time.Duration(i)/time.Duration(connections), until)
		}(i)
	}
	wait.Wait()
	var all []int64
	failed := 0
	for _, l := range lanes {
		all = append(all, l.took...)
		failed += l.failed
	}
	sort.Slice(all, func(a, b int) bool { return all[a] < all[b] })
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"took": all, "failed": failed})
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		serve(os.Args[2])
	}
	if len(os.Args) != 7 || os.Args[1] != "call" {
		fmt.Fprintln(os.Stderr, "usage: load serve ADDRESS | load call ADDRESS HOST RATE CONNECTIONS SECONDS")
		os.Exit(2)
	}
	rate, err1 := strconv.Atoi(os.Args[4])
	connections, err2 := strconv.Atoi(os.Args[5])
	seconds, err3 := strconv.ParseFloat(os.Args[6], 64)
	if err1 != nil || err2 != nil || err3 != nil {
		fmt.Fprintln(os.Stderr, "numbers are expected")
		os.Exit(2)
	}
	call(os.Args[2], os.Args[3], rate, connections, seconds)
}
