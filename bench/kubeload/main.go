// SPDX-License-Identifier: Apache-2.0

// kubeload measures a Kubernetes API server with plain HTTP/1.1 requests over TLS (no client library between), and prints one JSON object: for each
// work the requests a second and the latencies in milliseconds.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var (
	server   = flag.String("server", "", "URL of the API server")
	cert     = flag.String("cert", "", "client certificate (PEM)")
	key      = flag.String("key", "", "its key (PEM)")
	pids     = flag.String("pids", "", "processes of the server, by commas: their CPU time is counted")
	only     = flag.String("only", "writes,watch,lists,crowded,fanout", "works to run")
	count    = flag.Int("n", 2000, "requests of each create, get and patch run")
	objects  = flag.Int("objects", 10000, "objects in the list runs")
	watchers = flag.Int("watchers", 1000, "watchers of the crowded watch runs")
	rate     = flag.Int("rate", 500, "writes a second of the crowded watch run")
	few      = flag.Int("fanout-rate", 20, "writes a second of the run in which all watchers watch the same")
	seconds  = flag.Int("seconds", 5, "length of the crowded watch runs")
	keep     = flag.Bool("keep", false, "only make the objects, and leave them there")
	settings = &tls.Config{InsecureSkipVerify: true} // the servers' authorities were made a moment ago
	first    *connection                             // for what is not measured, and for what one client does
	results  = map[string]result{}
)

const namespaces = 100 // of the crowded run

type result struct {
	PerSecond float64 `json:"per_second,omitempty"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	CPU       float64 `json:"cpu_us"` // of the server, for one request or event
	Bytes     int     `json:"bytes,omitempty"`
	Events    int64   `json:"events,omitempty"`
	Missing   int64   `json:"missing,omitempty"` // events that did not come
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "kubeload:", err)
		os.Exit(1)
	}
}

// What the server's threads have run so far.
func cpu() time.Duration {
	var total time.Duration
	for pid := range strings.SplitSeq(*pids, ",") {
		files, _ := filepath.Glob("/proc/" + pid + "/task/*/schedstat")
		for _, file := range files {
			text, _ := os.ReadFile(file) // a thread may end meanwhile
			var ns int64
			_, _ = fmt.Sscan(string(text), &ns)
			total += time.Duration(ns)
		}
	}
	return total
}

// One connection with one request at a time: less work of the client's than net/http's, which would be most of what is measured.
type connection struct {
	tls    *tls.Conn
	reader *bufio.Reader
	text   bytes.Buffer // of the request
	data   []byte       // of the last answer; grows to the largest
}

func dial() *connection {
	conn, err := tls.Dial("tcp", strings.TrimPrefix(*server, "https://"), settings)
	check(err)
	return &connection{tls: conn, reader: bufio.NewReaderSize(conn, 1<<12)}
}

// Sends a request and reads the answer's head.
func (c *connection) begin(method, path, contentType string, body []byte) *http.Response {
	c.text.Reset()
	fmt.Fprintf(&c.text, "%s %s HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n", method, path)
	if contentType != "" {
		fmt.Fprintf(&c.text, "Content-Type: %s\r\nContent-Length: %d\r\n", contentType, len(body))
	}
	c.text.WriteString("\r\n")
	c.text.Write(body)
	_, err := c.tls.Write(c.text.Bytes())
	check(err)
	response, err := http.ReadResponse(c.reader, nil)
	check(err)
	return response
}

// The answer's body, valid until the next request.
func (c *connection) ask(want int, method, path, contentType string, body []byte) []byte {
	response := c.begin(method, path, contentType, body)
	c.data = c.data[:0]
	for {
		if len(c.data) == cap(c.data) {
			c.data = append(c.data, 0)[:len(c.data)]
		}
		n, err := response.Body.Read(c.data[len(c.data):cap(c.data)])
		c.data = c.data[:len(c.data)+n]
		if err == io.EOF {
			break
		}
		check(err)
	}
	if response.StatusCode != want {
		check(fmt.Errorf("%s %s: %d %.300s", method, path, response.StatusCode, c.data))
	}
	return c.data
}

// About 620 bytes as it is answered.
func configMap(name string) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q,"labels":{"app":"bench"}},"data":{"k":%q}}`, name, strings.Repeat("x", 200))
}

func note(name string, total time.Duration, ran time.Duration, latencies []time.Duration) {
	sort.Slice(latencies, func(i, j int) bool { return latencies[i] < latencies[j] })
	at := func(p float64) float64 { return latencies[int(p*float64(len(latencies)-1))].Seconds() * 1e3 }
	r := result{PerSecond: float64(len(latencies)) / total.Seconds(), P50: at(.5), P99: at(.99), CPU: ran.Seconds() * 1e6 / float64(len(latencies))}
	results[name] = r
	fmt.Fprintf(os.Stderr, "%-18s %9.0f /s  p50 %8.3f ms  p99 %8.3f ms  server %8.1f us\n", name, r.PerSecond, r.P50, r.P99, r.CPU)
}

// Runs f for 0..n-1 with so many workers.
func many(name string, n, workers int, f func(c *connection, i int)) {
	connections := make([]*connection, workers)
	for i := range connections {
		connections[i] = dial()
		connections[i].ask(200, "GET", "/version", "", nil)
		defer connections[i].tls.Close()
	}
	latencies := make([]time.Duration, n)
	var next atomic.Int64
	var group sync.WaitGroup
	begin, ran := time.Now(), cpu()
	for _, c := range connections {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				start := time.Now()
				f(c, i)
				latencies[i] = time.Since(start)
			}
		}()
	}
	group.Wait()
	if name != "" {
		note(name, time.Since(begin), cpu()-ran, latencies)
	}
}

func revision(path string) string {
	var list struct {
		Metadata struct{ ResourceVersion string }
	}
	check(json.Unmarshal(first.ask(200, "GET", path+"?limit=1", "", nil), &list))
	return list.Metadata.ResourceVersion
}

// Opens a watch from a version on; `seen` is called with each ADDED event's line, on the watch's own goroutine.
func watch(path, from string, seen func(line []byte, at time.Time)) io.Closer {
	c := dial()
	response := c.begin("GET", path+"?watch=1&resourceVersion="+from, "", nil)
	if response.StatusCode != 200 {
		check(fmt.Errorf("watch: %d", response.StatusCode))
	}
	go func() {
		lines := bufio.NewReaderSize(response.Body, 1<<12)
		for {
			line, err := lines.ReadSlice('\n')
			if err != nil {
				return
			}
			if bytes.Contains(line[:min(len(line), 32)], []byte(`"ADDED"`)) {
				seen(line, time.Now())
			}
		}
	}()
	return c.tls
}

func create(c *connection, path, name string) {
	c.ask(201, "POST", path, "application/json", configMap(name))
}

func numbered(path, prefix string) func(*connection, int) {
	return func(c *connection, i int) { create(c, path, fmt.Sprintf("%s%06d", prefix, i)) }
}

// Runs f in a namespace of its own; with the path of ConfigMaps in it.
func within(f func(path string)) {
	name := fmt.Sprintf("bench-%d", time.Now().UnixNano())
	first.ask(201, "POST", "/api/v1/namespaces", "application/json", []byte(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"`+name+`"}}`))
	f("/api/v1/namespaces/" + name + "/configmaps")
	if !*keep {
		first.ask(200, "DELETE", "/api/v1/namespaces/"+name, "", nil)
	}
}

func writes(path string) {
	many("", 100, 4, numbered(path, "a"))
	many("create 1", *count, 1, numbered(path, "s"))
	many("create 16", *count, 16, numbered(path, "p"))
	get := func(c *connection, i int) { c.ask(200, "GET", fmt.Sprintf("%s/s%06d", path, i), "", nil) }
	many("get 1", *count, 1, get)
	many("get 16", *count, 16, get)
	many("patch 1", *count, 1, func(c *connection, i int) {
		c.ask(200, "PATCH", fmt.Sprintf("%s/s%06d", path, i), "application/merge-patch+json", []byte(`{"data":{"k":"y"}}`))
	})
}

func oneWatcher(path string) {
	const events = 1000
	seen := make(chan time.Time, events)
	body := watch(path, revision(path), func(line []byte, at time.Time) {
		if bytes.Contains(line, []byte(`"name":"w`)) { // what the namespace gets by itself may come too
			seen <- at
		}
	})
	defer body.Close()
	latencies := make([]time.Duration, events)
	begin, ran := time.Now(), cpu()
	for i := range events {
		start := time.Now()
		create(first, path, fmt.Sprintf("w%06d", i))
		latencies[i] = (<-seen).Sub(start)
	}
	note("watch", time.Since(begin), cpu()-ran, latencies)
}

// Many watchers of `paths`, writes to them in turn at a fixed rate: from the POST sent to the event read, over all watchers.
// Sixteen clients write, as more connections would measure handshakes.
func manyWatchers(name string, paths []string, rate int) {
	total := rate * *seconds
	sent := make([]atomic.Int64, total)
	mine := make([][]time.Duration, *watchers)
	var events atomic.Int64
	begin := time.Now()
	from := revision(paths[0])
	for w := range mine {
		mine[w] = make([]time.Duration, 0, total/len(paths)+1)
		body := watch(paths[w%len(paths)], from, func(line []byte, at time.Time) {
			start := bytes.Index(line, []byte(`"name":"c`))
			if start < 0 {
				return
			}
			i, err := strconv.Atoi(string(line[start+9 : start+15]))
			check(err)
			mine[w] = append(mine[w], at.Sub(begin)-time.Duration(sent[i].Load()))
			events.Add(1)
		})
		defer body.Close()
	}
	start, ran := time.Now(), cpu()
	many("", total, 16, func(c *connection, i int) {
		time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		sent[i].Store(int64(time.Since(begin)))
		create(c, paths[i%len(paths)], fmt.Sprintf("c%06d", i))
	})
	var wanted int64
	for i := range total {
		wanted += int64((*watchers + len(paths) - 1 - i%len(paths)) / len(paths))
	}
	for end := time.Now().Add(30 * time.Second); events.Load() < wanted && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	took := time.Since(start)
	var latencies []time.Duration
	for w := range mine {
		latencies = append(latencies, mine[w]...)
	}
	note(name, took, cpu()-ran, latencies)
	r := results[name]
	r.Events, r.Missing = events.Load(), wanted-events.Load()
	results[name] = r
}

func crowded() {
	var paths []string
	var enter func(i int)
	enter = func(i int) {
		if i == namespaces {
			time.Sleep(time.Second) // what new namespaces get is written
			manyWatchers("watch crowded", paths, *rate)
			return
		}
		within(func(path string) {
			paths = append(paths, path)
			enter(i + 1)
		})
	}
	enter(0)
}

func lists(path string) {
	many("", *objects, 16, numbered(path, "l"))
	for _, name := range []string{"list", "list pages", "list none"} {
		query := map[string]string{"list": "", "list pages": "?limit=500", "list none": "?labelSelector=app%3Dnone"}[name]
		var latencies []time.Duration
		size := 0
		ran := cpu()
		begin := time.Now()
		for range 11 {
			var took time.Duration
			size = 0
			next := ""
			for {
				url := path + query
				if next != "" {
					url += "&continue=" + next
				}
				start := time.Now()
				data := first.ask(200, "GET", url, "", nil)
				took += time.Since(start) // our own parsing is not counted
				size += len(data)
				head := data[:min(len(data), 1024)]
				next = ""
				if at := bytes.Index(head, []byte(`"continue":"`)); at >= 0 {
					rest := head[at+12:]
					next = string(rest[:bytes.IndexByte(rest, '"')])
				}
				if next == "" {
					break
				}
			}
			latencies = append(latencies, took)
		}
		note(name, time.Since(begin), cpu()-ran, latencies)
		r := results[name]
		r.Bytes = size
		results[name] = r
	}
	start, ran := time.Now(), cpu()
	first.ask(200, "DELETE", path, "", nil)
	took := time.Since(start)
	note("deletecollection", took, cpu()-ran, []time.Duration{took})
}

func main() {
	flag.Parse()
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		check(err)
		settings.Certificates = []tls.Certificate{pair}
	}
	first = dial()
	if *keep {
		within(func(path string) { many("", *objects, 16, numbered(path, "k")) })
		return
	}
	works := map[string]func(){
		"writes":  func() { within(writes) },
		"watch":   func() { within(oneWatcher) },
		"lists":   func() { within(lists) },
		"crowded": crowded,
		"fanout":  func() { within(func(path string) { manyWatchers("watch fanout", []string{path}, *few) }) },
	}
	for name := range strings.SplitSeq(*only, ",") {
		work, known := works[name]
		if !known {
			check(fmt.Errorf("no work is called %q", name))
		}
		work()
	}
	check(json.NewEncoder(os.Stdout).Encode(results))
}
