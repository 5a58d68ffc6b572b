// The growth suite of benches/peers in Go: what one operation costs as there is more of everything.
//
// Numbers are those of src/growth/work.rs; whoever changes one file changes both.
package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	operations = 400_000
	timeoutsOf = 400_000
	pairs      = 64
	mixed      = 5
)

// roundsOf is how often tasks are spawned and joined, or woken.
func roundsOf(tasks int64) int64 {
	return (operations + tasks - 1) / tasks
}

func growSpawn(tasks int64) sample {
	result := repeated(roundsOf(tasks), func() { spawnMany(tasks) })
	result.Ops *= tasks
	return result
}

// growWake parks each goroutine on a channel of its own.
func growWake(tasks int64) sample {
	rounds := roundsOf(tasks)
	var missing atomic.Int64
	missing.Store(tasks)
	complete := make(chan struct{}, 1)
	parked := make([]chan struct{}, tasks)
	for index := range parked {
		wake := make(chan struct{}, 1)
		parked[index] = wake
		go func() {
			for range rounds + 2 {
				if missing.Add(-1) == 0 {
					complete <- struct{}{}
				}
				<-wake
			}
		}()
	}
	// All have started when they have reported for the first time; the first call is the warm-up.
	<-complete
	result := repeated(rounds, func() {
		missing.Store(tasks)
		for _, wake := range parked {
			wake <- struct{}{}
		}
		<-complete
	})
	result.Ops *= tasks
	return result
}

// growTimers has pending timers by time.AfterFunc; the further ones are those of the timeout row.
func growTimers(pending int64) sample {
	var waiting atomic.Int64
	never := make(chan struct{})
	for range pending {
		go func() {
			timer := time.AfterFunc(far, func() { panic("nothing here takes a minute") })
			waiting.Add(1)
			<-never
			timer.Stop()
		}()
	}
	for waiting.Load() < pending {
		runtime.Gosched()
	}
	byContext := timeouts(timeoutsOf, yieldUnderContext)
	byTimer := timeouts(timeoutsOf, yieldUnderTimer)
	return better("context", byContext, "timer", byTimer)
}

func growMixed(size int64) {
	rounds := size / (pairs * mixed)
	var group sync.WaitGroup
	group.Add(2 * pairs)
	for range pairs {
		ping, pong := make(chan int64, 1), make(chan int64, 1)
		go func() {
			for round := range rounds {
				runtime.Gosched()
				ping <- spawnAndJoin(round)
				if <-pong != round {
					panic("another round's answer")
				}
			}
			close(ping)
			group.Done()
		}()
		go func() {
			for value := range ping {
				runtime.Gosched()
				pong <- value
			}
			group.Done()
		}()
	}
	group.Wait()
}

func spawnAndJoin(value int64) int64 {
	var spawned int64
	var child sync.WaitGroup
	child.Add(1)
	go func() {
		spawned = value
		child.Done()
	}()
	child.Wait()
	return spawned
}

// growthSuite runs a workload, if it is of this suite and Go has the like.
func growthSuite(workload string, size int64) (result sample, found bool) {
	switch workload {
	case "grow-spawn":
		return growSpawn(size), true
	case "grow-wake":
		return growWake(size), true
	case "grow-timers":
		return growTimers(size), true
	case "grow-workers":
		return timed(size, size/10, growMixed), true
	}
	return sample{}, false
}
