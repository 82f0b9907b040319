// SPDX-License-Identifier: Apache-2.0

// kubeload measures a Kubernetes API server with plain HTTP requests (no client library between), and prints one JSON object: for each
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
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var (
	server   = flag.String("server", "", "URL of the API server")
	cert     = flag.String("cert", "", "client certificate (PEM)")
	key      = flag.String("key", "", "its key (PEM)")
	count    = flag.Int("n", 2000, "requests of each create, get and patch run")
	objects  = flag.Int("objects", 10000, "objects in the list runs")
	watchers = flag.Int("watchers", 1000, "watchers of the crowded watch run")
	rate     = flag.Int("rate", 500, "writes a second of the crowded watch run")
	seconds  = flag.Int("seconds", 5, "length of the crowded watch run")
	keep     = flag.Bool("keep", false, "only make the objects, and leave them there")
	client   *http.Client
	results  = map[string]result{}
)

type result struct {
	PerSecond float64 `json:"per_second,omitempty"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Bytes     int     `json:"bytes,omitempty"`
	Events    int64   `json:"events,omitempty"`
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "kubeload:", err)
		os.Exit(1)
	}
}

func send(method, path, contentType string, body []byte) (int, []byte) {
	request, err := http.NewRequest(method, *server+path, bytes.NewReader(body))
	check(err)
	request.Header.Set("Accept", "application/json")
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := client.Do(request)
	check(err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	check(err)
	return response.StatusCode, data
}

func must(want int, method, path, contentType string, body []byte) []byte {
	status, data := send(method, path, contentType, body)
	if status != want {
		check(fmt.Errorf("%s %s: %d %.300s", method, path, status, data))
	}
	return data
}

// About 620 bytes as it is answered.
func configMap(name string) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q,"labels":{"app":"bench"}},"data":{"k":%q}}`, name, strings.Repeat("x", 200))
}

func note(name string, total time.Duration, latencies []time.Duration) {
	sort.Slice(latencies, func(i, j int) bool { return latencies[i] < latencies[j] })
	at := func(p float64) float64 { return latencies[int(p*float64(len(latencies)-1))].Seconds() * 1e3 }
	results[name] = result{PerSecond: float64(len(latencies)) / total.Seconds(), P50: at(.5), P99: at(.99)}
	fmt.Fprintf(os.Stderr, "%-28s %9.0f /s  p50 %8.3f ms  p99 %8.3f ms\n", name, results[name].PerSecond, at(.5), at(.99))
}

// Runs f for 0..n-1 with so many workers.
func many(name string, n, workers int, f func(i int)) {
	latencies := make([]time.Duration, n)
	var next atomic.Int64
	var group sync.WaitGroup
	begin := time.Now()
	for range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				start := time.Now()
				f(i)
				latencies[i] = time.Since(start)
			}
		}()
	}
	group.Wait()
	if name != "" {
		note(name, time.Since(begin), latencies)
	}
}

func revision(path string) string {
	var list struct {
		Metadata struct{ ResourceVersion string }
	}
	check(json.Unmarshal(must(200, "GET", path+"?limit=1", "", nil), &list))
	return list.Metadata.ResourceVersion
}

// Opens a watch; `seen` is called with each ADDED event's line, on the watch's own goroutine.
func watch(path string, seen func(line []byte, at time.Time)) io.Closer {
	request, err := http.NewRequest("GET", *server+path+"?watch=1&resourceVersion="+revision(path), nil)
	check(err)
	response, err := client.Do(request)
	check(err)
	if response.StatusCode != 200 {
		check(fmt.Errorf("watch: %d", response.StatusCode))
	}
	go func() {
		lines := bufio.NewReaderSize(response.Body, 1<<16)
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				return
			}
			if bytes.Contains(line, []byte(`"ADDED"`)) {
				seen(line, time.Now())
			}
		}
	}()
	return response.Body
}

func oneWatcher(path string, post func(string)) {
	const events = 1000
	seen := make(chan time.Time, events)
	body := watch(path, func(_ []byte, at time.Time) { seen <- at })
	defer body.Close()
	latencies := make([]time.Duration, events)
	begin := time.Now()
	for i := range events {
		start := time.Now()
		post(fmt.Sprintf("w%06d", i))
		latencies[i] = (<-seen).Sub(start)
	}
	note("watch", time.Since(begin), latencies)
}

// Many watchers, writes at a fixed rate: from the POST sent to the event read, over all watchers.
func manyWatchers(path string, post func(string)) {
	var mutex sync.Mutex
	sent := map[string]time.Time{}
	var latencies []time.Duration
	var events atomic.Int64
	for range *watchers {
		mine := make([]time.Duration, 0, *rate**seconds)
		body := watch(path, func(line []byte, at time.Time) {
			from := bytes.Index(line, []byte(`"name":"c`))
			if from < 0 {
				return
			}
			name := string(line[from+8 : from+15])
			mutex.Lock()
			mine = append(mine, at.Sub(sent[name]))
			latencies = append(latencies, mine[len(mine)-1])
			mutex.Unlock()
			events.Add(1)
		})
		defer body.Close()
	}
	total := *rate * *seconds
	var group sync.WaitGroup
	begin := time.Now()
	for i := range total {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(*rate))))
		name := fmt.Sprintf("c%06d", i)
		group.Add(1)
		go func() {
			defer group.Done()
			mutex.Lock()
			sent[name] = time.Now()
			mutex.Unlock()
			post(name)
		}()
	}
	group.Wait()
	wanted := int64(total) * int64(*watchers)
	for end := time.Now().Add(60 * time.Second); events.Load() < wanted && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	took := time.Since(begin)
	mutex.Lock()
	defer mutex.Unlock()
	note("watch crowded", took, latencies)
	crowded := results["watch crowded"]
	crowded.Events = events.Load()
	results["watch crowded"] = crowded
}

func lists(path string) {
	for name, query := range map[string]string{"list": "", "list pages": "?limit=500", "list none": "?labelSelector=app%3Dnone"} {
		var latencies []time.Duration
		size := 0
		begin := time.Now()
		for range 7 {
			var took time.Duration
			size = 0
			next := ""
			for {
				url := path + query
				if next != "" {
					url += "&continue=" + next
				}
				start := time.Now()
				data := must(200, "GET", url, "", nil)
				took += time.Since(start) // our own parsing is not counted
				size += len(data)
				if query != "?limit=500" {
					break
				}
				var list struct {
					Metadata struct{ Continue string }
				}
				check(json.Unmarshal(data, &list))
				if next = list.Metadata.Continue; next == "" {
					break
				}
			}
			latencies = append(latencies, took)
		}
		note(name, time.Since(begin), latencies)
		r := results[name]
		r.Bytes = size
		results[name] = r
	}
}

func main() {
	flag.Parse()
	settings := &tls.Config{InsecureSkipVerify: true} // the servers' authorities were made a moment ago
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		check(err)
		settings.Certificates = []tls.Certificate{pair}
	}
	client = &http.Client{Transport: &http.Transport{TLSClientConfig: settings, MaxIdleConnsPerHost: 64, DisableCompression: true}}
	namespace := fmt.Sprintf("bench-%d", time.Now().UnixNano())
	must(201, "POST", "/api/v1/namespaces", "application/json", []byte(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"`+namespace+`"}}`))
	path := "/api/v1/namespaces/" + namespace + "/configmaps"
	post := func(name string) { must(201, "POST", path, "application/json", configMap(name)) }
	numbered := func(prefix string) func(int) {
		return func(i int) { post(fmt.Sprintf("%s%06d", prefix, i)) }
	}
	if *keep {
		many("", *objects, 16, numbered("k"))
		return
	}
	many("", 100, 4, numbered("a"))
	many("create 1", *count, 1, numbered("s"))
	many("create 16", *count, 16, numbered("p"))
	many("get 1", *count, 1, func(i int) { must(200, "GET", fmt.Sprintf("%s/s%06d", path, i), "", nil) })
	many("get 16", *count, 16, func(i int) { must(200, "GET", fmt.Sprintf("%s/s%06d", path, i), "", nil) })
	many("patch 1", *count, 1, func(i int) {
		must(200, "PATCH", fmt.Sprintf("%s/s%06d", path, i), "application/merge-patch+json", []byte(`{"data":{"k":"y"}}`))
	})
	oneWatcher(path, post)
	if more := *objects - 100 - 2**count - 1000; more > 0 {
		many("", more, 16, numbered("l"))
	}
	lists(path)
	start := time.Now()
	must(200, "DELETE", path, "", nil)
	note("deletecollection", time.Since(start), []time.Duration{time.Since(start)})
	manyWatchers(path, post)
	send("DELETE", "/api/v1/namespaces/"+namespace, "", nil)
	check(json.NewEncoder(os.Stdout).Encode(results))
}
