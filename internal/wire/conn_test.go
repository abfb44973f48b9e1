package wire

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

func TestCallAndServe(t *testing.T) {
	ours, theirs := net.Pipe()
	served := make(chan error, 1)
	go func() {
		served <- Serve(theirs, func(q Request) (Reply, error) { return Reply{Opened: &Opened{PID: q.Row.PromptTokens}}, nil })
	}()
	c := NewClient(ours)
	for n := range 3 {
		r, err := c.Call(Request{Row: &Row{PromptTokens: n}})
		if err != nil || r.Opened == nil || r.Opened.PID != n {
			t.Errorf("call %d: %+v, %v", n, r, err)
		}
	}
	ours.Close()
	if err := <-served; err != nil {
		t.Errorf("the end of the connection: %v", err)
	}
}

// talker answers whatever it is asked with bytes of its own.
type talker struct{ io.Reader }

func (talker) Write(p []byte) (int, error) { return len(p), nil }

// endless is a reply that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '['
	}
	return len(p), nil
}

func TestBadReplies(t *testing.T) {
	check := func(name string, from io.Reader, want string) {
		t.Helper()
		if r, err := NewClient(talker{from}).Call(Request{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want %q", name, r, err, want)
		}
	}
	check("no JSON", strings.NewReader("hello\n"), "invalid character")
	check("half a reply", strings.NewReader(`{"opened":{`), "unexpected EOF")
	check("wrong type", strings.NewReader(`{"row":5}`), "cannot unmarshal")
	check("a text without end", io.MultiReader(strings.NewReader(`{"error":{"message":"`), endless{}), "more than 67108864 bytes")
	check("lists without end", endless{}, "exceeded max depth")
	if _, err := NewClient(talker{strings.NewReader("")}).Call(Request{}); !errors.Is(err, io.EOF) {
		t.Errorf("a worker that is gone: %v", err)
	}
}
