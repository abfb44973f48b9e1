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
	return Sequence(tokenize, seed, 0, n)
}

// MaxSequences is the most prompts of one seed that differ from their beginning
// on.
const MaxSequences = 256

// Sequence returns the prompt of one of several sequences, as Tokens does for
// the first, 0: the text begins at another word for each. 0 <= sequence <
// MaxSequences.
func Sequence(tokenize func(string) ([]int32, error), seed int64, sequence, n int) ([]int32, error) {
	if n < 1 || n > MaxTokens {
		return nil, fmt.Errorf("a prompt must have from 1 to %d tokens, not %d", MaxTokens, n)
	}
	if sequence < 0 || sequence >= MaxSequences {
		return nil, fmt.Errorf("there are prompts for %d sequences, 0 to %d, and none for %d", MaxSequences, MaxSequences-1, sequence)
	}
	skip, first := wordAt(Text(seed), sequence), 1
	if skip > 0 {
		first = 2 // for one whole round at least
	}
	for rounds := first; ; {
		tokens, err := tokenize(text(seed, rounds)[skip:])
		if err != nil {
			return nil, fmt.Errorf("tokenizing the prompt: %w", err)
		}
		if len(tokens) >= n {
			return tokens[:n:n], nil
		}
		if len(tokens) < (rounds-first+1)*minTokens {
			return nil, fmt.Errorf("tokenizing the prompt: the corpus of %d words gave only %d tokens; does the model's vocabulary know English?",
				len(strings.Fields(text(seed, rounds))), len(tokens))
		}
		rounds = rounds*n/len(tokens) + 1 // at least one more
	}
}

// wordAt returns where in text the words begin that the given sequence of
// MaxSequences begins with, evenly spread over all words but for rounding.
func wordAt(text string, sequence int) int {
	words := strings.Fields(text)
	at := 0
	for _, w := range words[:sequence*len(words)/MaxSequences] {
		at += strings.Index(text[at:], w) + len(w)
	}
	return at + len(text[at:]) - len(strings.TrimLeft(text[at:], " \n"))
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
