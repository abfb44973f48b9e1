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

// maxReply is the most bytes a reply may have. One with the times of 100 000
// decode steps has about 4 MB; a worker gone mad must not take the parent's
// memory along.
const maxReply = 64 << 20

// Client is the asking end of a connection. It is not safe for concurrent use.
type Client struct {
	in   *json.Decoder
	out  *json.Encoder
	left *ration
}

// NewClient returns a client that talks over conn.
func NewClient(conn io.ReadWriter) *Client {
	left := &ration{from: conn}
	return &Client{in: json.NewDecoder(bufio.NewReader(left)), out: json.NewEncoder(conn), left: left}
}

// ration reads no more than so many bytes from a connection.
type ration struct {
	from  io.Reader
	bytes int
}

func (r *ration) Read(p []byte) (int, error) {
	if r.bytes <= 0 {
		return 0, fmt.Errorf("wire: a reply of more than %d bytes", maxReply)
	}
	n, err := r.from.Read(p[:min(len(p), r.bytes)])
	r.bytes -= n
	return n, err
}

// Call sends q and waits for its reply. io.EOF and io.ErrUnexpectedEOF mean
// that the worker is gone.
func (c *Client) Call(q Request) (Reply, error) {
	var r Reply
	c.left.bytes = maxReply
	if err := c.out.Encode(q); err != nil {
		return r, err
	}
	return r, c.in.Decode(&r)
}
