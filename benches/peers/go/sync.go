// The sync suite of benches/peers in Go: channels, select, and the locks of package sync.
//
// Numbers and checks are those of src/section.rs; whoever changes one file changes both.
package main

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	capacity   = 100
	producers  = 4
	consumers  = 4
	permits    = 2
	writeEvery = 100
	readyCount = 8
	longSteps  = 700
)

// section is what a lock protects.
type section struct {
	entered int64
	state   uint64
}

func (section *section) enter(steps int64) {
	section.entered++
	state := section.state // in a register over the loop, which Go does not do by itself
	for range steps {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
	}
	section.state = state
}

func (section *section) check(entries int64) {
	if section.entered != entries || section.state == 0 {
		panic(fmt.Sprint("entries: ", section.entered, " of ", entries))
	}
}

func checkSum(sum, count int64) {
	if sum != count*(count-1)/2 {
		panic("the sum of the messages")
	}
}

func pingPongOver(capacity int) func(rounds int64) {
	return func(rounds int64) {
		ping, pong := make(chan int64, capacity), make(chan int64, capacity)
		go func() {
			for value := range ping {
				pong <- value
			}
		}()
		for round := range rounds {
			ping <- round
			if <-pong != round {
				panic("another round's answer")
			}
		}
		close(ping)
	}
}

// flood lets all producers send to so many consumers, the caller being one of them.
func flood(consumers int) func(count int64) {
	return func(count int64) {
		messages := make(chan int64, capacity)
		var sending, receiving sync.WaitGroup
		sending.Add(producers)
		for producer := range int64(producers) {
			go func() {
				each := count / producers
				for message := producer * each; message < (producer+1)*each; message++ {
					messages <- message
				}
				sending.Done()
			}()
		}
		// Go has no senders that can be dropped: somebody must know when all are done.
		go func() {
			sending.Wait()
			close(messages)
		}()
		var total atomic.Int64
		consume := func() {
			sum := int64(0)
			for message := range messages {
				sum += message
			}
			total.Add(sum)
		}
		receiving.Add(consumers - 1)
		for range consumers - 1 {
			go func() {
				consume()
				receiving.Done()
			}()
		}
		consume()
		receiving.Wait()
		checkSum(total.Load(), count)
	}
}

// mutexes times how long one lock in every takes to get.
func mutexes(tasks, steps, every int64) func(size int64) []time.Duration {
	return func(size int64) []time.Duration {
		var lock sync.Mutex
		var times gathered
		section := section{state: 1}
		each := size / tasks
		together(tasks, func(int64) {
			latencies := newLatencies(every, each)
			for range each {
				start := latencies.start()
				lock.Lock()
				latencies.stop(start)
				section.enter(steps)
				lock.Unlock()
			}
			times.add(latencies)
		})
		section.check(tasks * each)
		return times.times
	}
}

func rwlocks(tasks int64) func(size int64) {
	return func(size int64) {
		var lock sync.RWMutex
		var number int64
		var total atomic.Int64
		each := size / tasks
		together(tasks, func(int64) {
			sum := int64(0)
			for i := int64(1); i <= each; i++ {
				if i%writeEvery == 0 {
					lock.Lock()
					number++
					lock.Unlock()
				} else {
					lock.RLock()
					sum += number
					lock.RUnlock()
				}
			}
			total.Add(sum)
		})
		sink += total.Load()
		if number != tasks*(each/writeEvery) {
			panic("writes")
		}
	}
}

// handOver times one round trip in every.
func handOver(every int64) func(rounds int64) []time.Duration {
	return func(rounds int64) []time.Duration {
		var lock sync.Mutex
		changed := sync.NewCond(&lock)
		turn := false
		pass := func(mine bool, latencies *latencies) {
			for range rounds {
				start := latencies.start()
				lock.Lock()
				for turn != mine {
					changed.Wait()
				}
				turn = !mine
				lock.Unlock()
				changed.Signal()
				latencies.stop(start)
			}
		}
		done := make(chan struct{})
		go func() {
			untimed := newLatencies(never, rounds)
			pass(true, &untimed)
			close(done)
		}()
		latencies := newLatencies(every, rounds)
		pass(false, &latencies)
		<-done
		return latencies.times
	}
}

// semaphores takes a channel for a semaphore, as is the custom: package sync has none. It times how long one
// permit in every takes to get.
func semaphores(tasks, every int64, hold func()) func(size int64) []time.Duration {
	return func(size int64) []time.Duration {
		var times gathered
		semaphore := make(chan struct{}, permits)
		var total atomic.Int64
		each := size / tasks
		together(tasks, func(int64) {
			held, latencies := int64(0), newLatencies(every, each)
			for range each {
				start := latencies.start()
				semaphore <- struct{}{}
				latencies.stop(start)
				held++
				hold()
				<-semaphore
			}
			total.Add(held)
			times.add(latencies)
		})
		if total.Load() != tasks*each {
			panic("permits")
		}
		return times.times
	}
}

func selectReady(count int64) {
	var c [readyCount]chan int
	for index := range c {
		c[index] = make(chan int, 1)
		c[index] <- index
	}
	for range count {
		var index, message int
		select {
		case message = <-c[0]:
			index = 0
		case message = <-c[1]:
			index = 1
		case message = <-c[2]:
			index = 2
		case message = <-c[3]:
			index = 3
		case message = <-c[4]:
			index = 4
		case message = <-c[5]:
			index = 5
		case message = <-c[6]:
			index = 6
		case message = <-c[7]:
			index = 7
		}
		if message != index {
			panic("another channel's message")
		}
		c[index] <- index
	}
}

func oneshots(count int64) {
	sum := int64(0)
	for message := range count {
		channel := make(chan int64, 1)
		channel <- message
		sum += <-channel
	}
	checkSum(sum, count)
}

type request struct {
	message int64
	reply   chan int64
}

// replies times one request in every.
func replies(every int64) func(count int64) []time.Duration {
	return func(count int64) []time.Duration {
		requests := make(chan request, 1)
		go func() {
			for request := range requests {
				request.reply <- request.message
			}
		}()
		sum, latencies := int64(0), newLatencies(every, count)
		for message := range count {
			start := latencies.start()
			reply := make(chan int64, 1)
			requests <- request{message, reply}
			sum += <-reply
			latencies.stop(start)
		}
		close(requests)
		checkSum(sum, count)
		return latencies.times
	}
}

// syncSuite runs a workload, if it is of this suite and Go has the like.
func syncSuite(workload string, size, tasks, every int64) (result sample, found bool) {
	works := map[string]func(int64){
		"chan1":        pingPongOver(1),
		"chan0":        pingPongOver(0),
		"mpsc100":      flood(1),
		"mpmc100":      flood(consumers),
		"rwlock":       rwlocks(tasks),
		"select8+send": selectReady,
		"oneshot":      oneshots,
	}
	if work, found := works[workload]; found {
		return timed(size, size/10, work), true
	}
	timing := map[string]func(int64) []time.Duration{
		"mutex1":          mutexes(tasks, 0, every),
		"mutex8":          mutexes(tasks, 0, every),
		"mutex64":         mutexes(tasks, 0, every),
		"mutex8-long":     mutexes(tasks, longSteps, every),
		"mutex64-long":    mutexes(tasks, longSteps, every),
		"condvar":         handOver(every),
		"semaphore":       semaphores(tasks, every, func() {}),
		"semaphore-yield": semaphores(tasks, every, runtime.Gosched),
		"reply":           replies(every),
	}
	if work, found := timing[workload]; found {
		return observed(size, size/10, work), true
	}
	return sample{}, false
}
