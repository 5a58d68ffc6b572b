// How long single operations take, of which a few are timed: a clock costs as much as some operations.
//
// As src/latency.rs; whoever changes one file changes both.
package main

import (
	"slices"
	"sync"
	"time"
)

// never is one operation in so many: none at all.
const never = int64(1) << 62

// latencies is what one goroutine has timed.
type latencies struct {
	every int64
	// left counts the operations until the next one that is timed, which is then 1.
	left  int64
	times []time.Duration
}

func newLatencies(every, operations int64) latencies {
	return latencies{every, every, make([]time.Duration, 0, operations/every)}
}

// start returns the time if the operation that begins is one of those timed, and otherwise zero.
func (l *latencies) start() time.Time {
	l.left--
	if l.left > 0 {
		return time.Time{}
	}
	return l.begin()
}

func (l *latencies) begin() time.Time {
	l.left = l.every
	return time.Now()
}

// stop ends the operation.
func (l *latencies) stop(start time.Time) {
	if !start.IsZero() {
		l.times = append(l.times, time.Since(start))
	}
}

// gathered is what several goroutines have timed.
type gathered struct {
	lock  sync.Mutex
	times []time.Duration
}

func (g *gathered) add(l latencies) {
	g.lock.Lock()
	g.times = append(g.times, l.times...)
	g.lock.Unlock()
}

// observed is as timed, beside the quantiles of the single operations that work has timed.
func observed(size, warm int64, work func(int64) []time.Duration) sample {
	work(warm)
	start := time.Now()
	times := work(size)
	sample := sample{time.Since(start).Nanoseconds(), size, map[string]float64{}}
	sample.addQuantiles(times)
	return sample
}

// addQuantiles adds the usual ones, if there are any.
func (sample *sample) addQuantiles(times []time.Duration) {
	slices.Sort(times)
	for name, perMille := range map[string]int{"p50_ns": 500, "p99_ns": 990, "p999_ns": 999} {
		if len(times) > 0 {
			sample.Extra[name] = float64(rank(times, perMille))
		}
	}
}

// rank is the time of a sorted list that perMille of a thousand do not exceed.
func rank(times []time.Duration, perMille int) int64 {
	return times[(len(times)*perMille+999)/1000-1].Nanoseconds()
}
