// The server of the io suite of benches/peers in Go: one goroutine for each connection.
//
//	peers-go serve PROTOCOL --workers W
//
// What is said is that of src/io/protocol.rs; whoever changes one file changes both.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"
)

const (
	inputBytes = 4096
	// lifetime is that of src/io/lifetime.rs.
	lifetime = 60 * time.Second
)

var (
	endOfHead = []byte("\r\n\r\n")
	get       = []byte("GET ")
	hello     = []byte("HTTP/1.1 200 OK\r\n" +
		"Content-Type: text/plain\r\n" +
		"Content-Length: 13\r\n\r\n" +
		"Hello, World!")
	notGet = []byte("HTTP/1.1 405 Method Not Allowed\r\n" +
		"Allow: GET\r\n" +
		"Content-Length: 0\r\n\r\n")
)

// endWithParent ends this process when its stdin closes, or after lifetime.
func endWithParent() {
	go func() {
		os.Stdin.Read(make([]byte, 1))
		os.Exit(1)
	}()
	time.AfterFunc(lifetime, func() { os.Exit(1) })
}

func converseEcho(conn net.Conn) {
	defer conn.Close()
	input := make([]byte, inputBytes)
	for {
		read, err := conn.Read(input)
		if err != nil {
			return
		}
		if _, err := conn.Write(input[:read]); err != nil {
			return
		}
	}
}

func converseHTTP(conn net.Conn) {
	defer conn.Close()
	input := make([]byte, inputBytes)
	var output []byte
	kept := 0
	for {
		read, err := conn.Read(input[kept:])
		// A head that is too long leaves no room, and nothing is read.
		if err != nil || read == 0 {
			return
		}
		filled, start := kept+read, 0
		output = output[:0]
		for {
			head := bytes.Index(input[start:filled], endOfHead)
			if head < 0 {
				break
			}
			answer := notGet
			if bytes.HasPrefix(input[start:], get) {
				answer = hello
			}
			output = append(output, answer...)
			start += head + len(endOfHead)
		}
		kept = copy(input, input[start:filled])
		if len(output) == 0 {
			continue
		}
		if _, err := conn.Write(output); err != nil {
			return
		}
	}
}

// serve listens, prints its port and serves until something fails.
func serve(arguments []string) error {
	if len(arguments) == 0 {
		return fmt.Errorf("serve what?")
	}
	options := flag.NewFlagSet("peers-go serve", flag.ExitOnError)
	workers := options.Int("workers", 1, "GOMAXPROCS")
	options.Parse(arguments[1:])
	converse := map[string]func(net.Conn){"echo": converseEcho, "http": converseHTTP}[arguments[0]]
	if converse == nil {
		return fmt.Errorf("go does not speak %s", arguments[0])
	}
	runtime.GOMAXPROCS(*workers)
	endWithParent()
	// Go's own habit is to keep connections alive by probes, which is three system calls for each
	// new one. Nobody else here does that. TCP_NODELAY, which all set, is its default.
	listener, err := (&net.ListenConfig{KeepAlive: -1}).Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go converse(conn)
	}
}
