// The workloads of benches/peers in Go: one subcommand each, one line of JSON on stdout.
//
//	peers-go WORKLOAD --workers W --size N [--tasks T] [--reps R] [--every E]
//
// Names and meanings are those of src/workloads.rs. Where Go has two natural ways (channels and a
// WaitGroup), both run and the better one is reported. The time suite is in time.go, the sync
// suite in sync.go, the server of the io suite in io.go, the growth suite in growth.go.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type sample struct {
	Ns    int64              `json:"ns"`
	Ops   int64              `json:"ops"`
	Extra map[string]float64 `json:"extra"`
}

// timed runs work(warm), then times work(size).
func timed(size, warm int64, work func(int64)) sample {
	work(warm)
	start := time.Now()
	work(size)
	return sample{time.Since(start).Nanoseconds(), size, map[string]float64{}}
}

// repeated runs work once, then times reps repetitions.
func repeated(reps int64, work func()) sample {
	return timed(reps, 1, func(count int64) {
		for range count {
			work()
		}
	})
}

// better keeps the cheaper of two ways, and each one's figure per operation by its name.
func better(nameA string, a sample, nameB string, b sample) sample {
	best := a
	if b.Ns < a.Ns {
		best = b
	}
	best.Extra[nameA+"_ns"] = float64(a.Ns) / float64(a.Ops)
	best.Extra[nameB+"_ns"] = float64(b.Ns) / float64(b.Ops)
	return best
}

func yields(tasks, each int64) {
	var group sync.WaitGroup
	group.Add(int(tasks))
	for range tasks {
		go func() {
			for range each {
				runtime.Gosched()
			}
			group.Done()
		}()
	}
	group.Wait()
}

func spawnJoinChannel(count int64) {
	done := make(chan struct{}, 1)
	for range count {
		go func() { done <- struct{}{} }()
		<-done
	}
}

func spawnJoinGroup(count int64) {
	var group sync.WaitGroup
	for range count {
		group.Add(1)
		go func() { group.Done() }()
		group.Wait()
	}
}

func spawnMany(count int64) {
	var group sync.WaitGroup
	group.Add(int(count))
	for range count {
		go func() { group.Done() }()
	}
	group.Wait()
}

// skynetChannel is the original: children answer through a channel of their parent.
func skynetChannel(answer chan int64, first, leaves int64) {
	if leaves == 1 {
		answer <- first
		return
	}
	children := make(chan int64)
	share := leaves / 10
	for i := range int64(10) {
		go skynetChannel(children, first+i*share, share)
	}
	sum := int64(0)
	for range 10 {
		sum += <-children
	}
	answer <- sum
}

func skynetGroup(answer *int64, parent *sync.WaitGroup, first, leaves int64) {
	defer parent.Done()
	if leaves == 1 {
		*answer = first
		return
	}
	var group sync.WaitGroup
	children := make([]int64, 10)
	share := leaves / 10
	group.Add(10)
	for i := range int64(10) {
		go skynetGroup(&children[i], &group, first+i*share, share)
	}
	group.Wait()
	for _, child := range children {
		*answer += child
	}
}

func skynet(leaves, reps int64) sample {
	check := func(sum int64) {
		if sum != leaves*(leaves-1)/2 {
			panic("skynet: wrong sum")
		}
	}
	channel := repeated(reps, func() {
		answer := make(chan int64)
		go skynetChannel(answer, 0, leaves)
		check(<-answer)
	})
	group := repeated(reps, func() {
		var sum int64
		var done sync.WaitGroup
		done.Add(1)
		go skynetGroup(&sum, &done, 0, leaves)
		done.Wait()
		check(sum)
	})
	return better("channel", channel, "waitgroup", group)
}

func fibChannel(n int64) int64 {
	if n < 2 {
		return n
	}
	spawned := make(chan int64, 1)
	go func() { spawned <- fibChannel(n - 1) }()
	inline := fibChannel(n - 2)
	return inline + <-spawned
}

func fibGroup(n int64) int64 {
	if n < 2 {
		return n
	}
	var spawned int64
	var group sync.WaitGroup
	group.Add(1)
	go func() {
		spawned = fibGroup(n - 1)
		group.Done()
	}()
	inline := fibGroup(n - 2)
	group.Wait()
	return inline + spawned
}

var sink int64

func fib(n, reps int64) sample {
	channel := repeated(reps, func() { sink += fibChannel(n) })
	group := repeated(reps, func() { sink += fibGroup(n) })
	return better("channel", channel, "waitgroup", group)
}

func pingPong(rounds int64) {
	ping, pong := make(chan struct{}, 1), make(chan struct{}, 1)
	go func() {
		for range rounds {
			<-ping
			pong <- struct{}{}
		}
	}()
	for range rounds {
		ping <- struct{}{}
		<-pong
	}
}

// statusBytes returns the sum of these fields of /proc/self/status, which are in KiB.
func statusBytes(fields ...string) (bytes int64) {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		var name string
		var kib int64
		fmt.Sscan(line, &name, &kib)
		if slices.Contains(fields, name) {
			bytes += kib * 1024
		}
	}
	return bytes
}

// footprint returns VmRSS + VmPTE in bytes and the number of mappings.
func footprint() (bytes, mappings int64) {
	bytes = statusBytes("VmRSS:", "VmPTE:")
	maps, _ := os.ReadFile("/proc/self/maps")
	return bytes, int64(strings.Count(string(maps), "\n"))
}

func parkedMemory(tasks int64) sample {
	spawnMany(100)
	baseBytes, baseMappings := footprint()
	start := time.Now()
	var parked atomic.Int64
	never := make(chan struct{})
	for range tasks {
		go func() {
			parked.Add(1)
			<-never
		}()
	}
	for parked.Load() < tasks {
		runtime.Gosched()
	}
	ns := time.Since(start).Nanoseconds()
	time.Sleep(100 * time.Millisecond)
	bytes, mappings := footprint()
	return sample{ns, tasks, map[string]float64{
		"bytes":    float64(max(bytes-baseBytes, 0)),
		"mappings": float64(max(mappings-baseMappings, 0)),
	}}
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "peers-go: which workload?")
		os.Exit(2)
	}
	if os.Args[1] == "serve" {
		fmt.Fprintln(os.Stderr, "peers-go:", serve(os.Args[2:]))
		os.Exit(1)
	}
	options := flag.NewFlagSet("peers-go", flag.ExitOnError)
	workers := options.Int("workers", 1, "GOMAXPROCS")
	size := options.Int64("size", 1, "operations, leaves, tasks or n")
	tasks := options.Int64("tasks", 200, "goroutines that share the operations")
	reps := options.Int64("reps", 1, "repetitions")
	every := options.Int64("every", never, "time one operation in so many")
	options.Parse(os.Args[2:])
	runtime.GOMAXPROCS(*workers)

	var result sample
	switch os.Args[1] {
	case "yield1", "yield1-2", "yield2":
		result = timed(*size, *size/10, func(size int64) { yields(*tasks, size / *tasks) })
	case "spawn_join":
		channel := timed(*size, *size/10, spawnJoinChannel)
		group := timed(*size, *size/10, spawnJoinGroup)
		result = better("channel", channel, "waitgroup", group)
	case "spawn_many":
		result = repeated(*reps, func() { spawnMany(*size) })
		result.Ops *= *size
	case "skynet":
		result = skynet(*size, *reps)
	case "fib":
		result = fib(*size, *reps)
	case "pingpong":
		result = timed(*size, *size/10, pingPong)
	case "parked_memory":
		result = parkedMemory(*size)
	default:
		var found bool
		result, found = timeSuite(os.Args[1], *size, *tasks)
		if !found {
			result, found = syncSuite(os.Args[1], *size, *tasks, *every)
		}
		if !found {
			result, found = growthSuite(os.Args[1], *size)
		}
		if !found {
			fmt.Fprintln(os.Stderr, "go has no", os.Args[1])
			os.Exit(1)
		}
	}
	result.Extra["peak_bytes"] = float64(statusBytes("VmHWM:"))
	json.NewEncoder(os.Stdout).Encode(result)
}
