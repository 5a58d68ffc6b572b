// The time suite of benches/peers in Go.
//
// Durations are those of src/durations.rs; whoever changes one file changes both. A deadline is
// armed and disarmed in two ways, by a context and by a bare timer; both run and the cheaper one is
// reported. The timer is time.AfterFunc's: since Go 1.23 the runtime does not even arm one with a
// channel (time.NewTimer) unless somebody waits on that channel, and here nobody does.
package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	far    = 60 * time.Second
	period = 10 * time.Millisecond
	short  = 50 * time.Microsecond
	golden = uint64(0x9e3779b97f4a7c15)
	// turns is how often timeouts changes between yields without and with a timeout.
	turns = 10
)

func sleeperDuration(index, count int64) time.Duration {
	share := (uint64(index) * golden) >> 32
	nanos := uint64(count) * 1000
	return time.Duration(nanos + (nanos*share)>>32)
}

func lateDuration(task, round int64) time.Duration {
	random := splitMix(uint64(task)<<32 | uint64(round))
	return time.Duration(1_000+random%19_001) * time.Microsecond
}

func splitMix(seed uint64) uint64 {
	z := seed + golden
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// usage is the CPU time of this process in nanoseconds.
type usage struct{ user, system int64 }

func readUsage() usage {
	var now syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &now); err != nil {
		panic(err)
	}
	return usage{now.Utime.Nano(), now.Stime.Nano()}
}

func (before usage) spent() usage {
	now := readUsage()
	return usage{now.user - before.user, now.system - before.system}
}

func cpu(spent usage, ops int64) sample {
	return sample{spent.user + spent.system, ops, map[string]float64{
		"user_ns":   float64(spent.user),
		"system_ns": float64(spent.system),
	}}
}

// together runs work(task) in one goroutine each and waits for all.
func together(tasks int64, work func(task int64)) {
	var group sync.WaitGroup
	group.Add(int(tasks))
	for task := range tasks {
		go func() {
			work(task)
			group.Done()
		}()
	}
	group.Wait()
}

func yieldUnderContext() {
	_, cancel := context.WithTimeout(context.Background(), far)
	runtime.Gosched()
	cancel()
}

func yieldUnderTimer() {
	timer := time.AfterFunc(far, func() {})
	runtime.Gosched()
	timer.Stop()
}

// timeouts yields without and with a timeout by turns, so that a slow moment hits both.
func timeouts(size int64, yieldArmed func()) sample {
	var plain, armed time.Duration
	for turn := range turns + 1 {
		start := time.Now()
		for range size / turns {
			runtime.Gosched()
		}
		middle := time.Now()
		for range size / turns {
			yieldArmed()
		}
		// The first turn is the warm-up.
		if turn > 0 {
			plain += middle.Sub(start)
			armed += time.Since(middle)
		}
	}
	return sample{(armed - plain).Nanoseconds(), size, map[string]float64{
		"plain_ns": float64(plain) / float64(size),
		"armed_ns": float64(armed) / float64(size),
	}}
}

func sleepers(count int64) usage {
	before := readUsage()
	together(count, func(index int64) { time.Sleep(sleeperDuration(index, count)) })
	return before.spent()
}

func sleepersAgain(count int64) sample {
	first := sleepers(count)
	again := cpu(sleepers(count), 1)
	again.Extra["first_user_ns"] = float64(first.user)
	again.Extra["first_system_ns"] = float64(first.system)
	return again
}

// intervals drops the ticks that a goroutine is too slow for, as a Ticker does: that takes longer
// and gives no tick less.
func intervals(tasks, ticks int64) usage {
	before, start := readUsage(), time.Now()
	ticked := make([]int64, tasks)
	together(tasks, func(task int64) {
		ticker := time.NewTicker(period)
		for range ticks {
			<-ticker.C
			ticked[task]++
		}
		ticker.Stop()
	})
	checkTicks(ticked, ticks, time.Since(start))
	return before.spent()
}

func checkTicks(ticked []int64, ticks int64, took time.Duration) {
	for _, count := range ticked {
		if count != ticks {
			panic(fmt.Sprint("ticks: ", count, " of ", ticks))
		}
	}
	if took < time.Duration(ticks-1)*period {
		panic(fmt.Sprint(ticks, " ticks took only ", took))
	}
}

func contextDeadlines(tasks, each int64) usage {
	before := readUsage()
	together(tasks, func(int64) {
		for range each {
			_, cancel := context.WithDeadline(context.Background(), time.Now().Add(far))
			runtime.Gosched()
			cancel()
		}
	})
	return before.spent()
}

func timerDeadlines(tasks, each int64) usage {
	before := readUsage()
	together(tasks, func(int64) {
		for range each {
			yieldUnderTimer()
		}
	})
	return before.spent()
}

// warmed runs work once in small, then measures it.
func warmed(tasks, size int64, work func(tasks, each int64) usage) sample {
	work(tasks, size/tasks/10)
	return cpu(work(tasks, size/tasks), size)
}

// lateness is by how much a sleep of asked that began at start ends late.
func lateness(start time.Time, asked time.Duration) time.Duration {
	took := time.Since(start)
	if took < asked {
		panic(fmt.Sprint("a sleep of ", asked, " took only ", took))
	}
	return took - asked
}

func late(tasks, rounds int64) []time.Duration {
	times := make([]time.Duration, tasks*rounds)
	together(tasks, func(task int64) {
		for round := range rounds {
			duration := lateDuration(task, round)
			start := time.Now()
			time.Sleep(duration)
			times[task*rounds+round] = lateness(start, duration)
		}
	})
	return times
}

func shortSleeps(count int64) []time.Duration {
	times := make([]time.Duration, count)
	for i := range times {
		start := time.Now()
		time.Sleep(short)
		times[i] = short + lateness(start, short)
	}
	return times
}

// quantile returns the time that perMille of a thousand do not exceed, and the usual ones.
func quantile(times []time.Duration, perMille int) sample {
	slices.Sort(times)
	sample := sample{rank(times, perMille), 1, map[string]float64{}}
	sample.addQuantiles(times)
	return sample
}

// timeSuite runs a workload, if it is of this suite.
func timeSuite(workload string, size, tasks int64) (result sample, found bool) {
	switch workload {
	case "timeout":
		byContext, byTimer := timeouts(size, yieldUnderContext), timeouts(size, yieldUnderTimer)
		return better("context", byContext, "timer", byTimer), true
	case "sleepers":
		return cpu(sleepers(size), 1), true
	case "sleepers-again":
		return sleepersAgain(size), true
	case "intervals":
		return cpu(intervals(tasks, size/tasks), 1), true
	case "deadlines":
		byContext := warmed(tasks, size, contextDeadlines)
		return better("context", byContext, "timer", warmed(tasks, size, timerDeadlines)), true
	case "late":
		return quantile(late(tasks, size/tasks), 990), true
	case "sleep-50us":
		return quantile(shortSleeps(size), 500), true
	}
	return sample{}, false
}
