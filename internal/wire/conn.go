package wire

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Serve answers every request that comes in on conn until conn ends, which is
// not an error. One request is answered before the next is read. An error of
// answer ends it without a reply.
func Serve(conn io.ReadWriter, answer func(Request) (Reply, error)) error {
	in := json.NewDecoder(bufio.NewReader(conn))
	out := json.NewEncoder(conn)
	for {
		var q Request
		if err := in.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("wire: reading a request: %w", err)
		}
		reply, err := answer(q)
		if err != nil {
			return err
		}
		if err := out.Encode(reply); err != nil {
			return fmt.Errorf("wire: writing a reply: %w", err)
		}
	}
}

// Client is the asking end of a connection. It is not safe for concurrent use.
type Client struct {
	in  *json.Decoder
	out *json.Encoder
}

// NewClient returns a client that talks over conn.
func NewClient(conn io.ReadWriter) *Client {
	return &Client{in: json.NewDecoder(bufio.NewReader(conn)), out: json.NewEncoder(conn)}
}

// Call sends q and waits for its reply. io.EOF and io.ErrUnexpectedEOF mean
// that the worker is gone.
func (c *Client) Call(q Request) (Reply, error) {
	var r Reply
	if err := c.out.Encode(q); err != nil {
		return r, err
	}
	return r, c.in.Decode(&r)
}
