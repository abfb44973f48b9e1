// Package prompt makes the input of the benchmark: natural English text of our
// own, cut to an exact number of tokens. Random token ids would do for speed,
// but real text keeps a model's output plausible and shows that a tokenizer
// works.
package prompt

import (
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"path"
	"strings"
)

// MaxTokens is the most tokens that Tokens makes.
const MaxTokens = 1 << 20

// minTokens is less than any tokenizer for natural language makes of the
// corpus, which has over 3,000 words. It bounds the text that Tokens builds.
const minTokens = 1000

// Text returns the passages of the corpus, each once, in an order chosen by
// seed, joined by blank lines. It is the same for a seed on every machine.
func Text(seed int64) string { return text(seed, 1) }

// Tokens returns the first n tokens of Text(seed) by the given tokenizer,
// which may put a begin-of-sequence token in front. If the text is too short
// it goes on with the passages in further orders drawn from the same seed, so
// that no long stretch repeats. The result is deterministic, and 1 <= n <=
// MaxTokens; any other n is an error, as is a tokenizer that fails or that
// makes hardly any tokens of the text.
func Tokens(tokenize func(string) ([]int32, error), seed int64, n int) ([]int32, error) {
	if n < 1 || n > MaxTokens {
		return nil, fmt.Errorf("a prompt must have from 1 to %d tokens, not %d", MaxTokens, n)
	}
	for rounds := 1; ; {
		tokens, err := tokenize(text(seed, rounds))
		if err != nil {
			return nil, fmt.Errorf("tokenizing the prompt: %w", err)
		}
		if len(tokens) >= n {
			return tokens[:n:n], nil
		}
		if len(tokens) < rounds*minTokens {
			return nil, fmt.Errorf("tokenizing the prompt: the corpus of %d words gave only %d tokens; does the model's vocabulary know English?",
				len(strings.Fields(text(seed, rounds))), len(tokens))
		}
		rounds = rounds*n/len(tokens) + 1 // at least one more
	}
}

// Hash returns the first 16 hex digits of the SHA-256 of the token ids as
// little-endian 32-bit integers. It names a prompt as well as a model's output:
// equal sequences have equal hashes.
func Hash(tokens []int32) string {
	h := sha256.New()
	var id [4]byte
	for _, t := range tokens {
		binary.LittleEndian.PutUint32(id[:], uint32(t))
		h.Write(id[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

//go:embed corpus/*.txt
var corpus embed.FS

// passages are the texts of the corpus, ordered by file name.
var passages = func() []string {
	files, err := corpus.ReadDir("corpus")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	var out []string
	for _, f := range files {
		data, err := corpus.ReadFile(path.Join("corpus", f.Name()))
		if err != nil {
			panic(err)
		}
		out = append(out, strings.TrimSpace(string(data)))
	}
	return out
}()

// text returns the corpus the given number of times, each in a new order.
func text(seed int64, rounds int) string {
	gen := generator(seed)
	order := make([]string, 0, rounds*len(passages))
	for range rounds {
		order = append(order, passages...)
		gen.shuffle(order[len(order)-len(passages):])
	}
	return strings.Join(order, "\n\n")
}
