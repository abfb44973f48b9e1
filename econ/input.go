package econ

import (
	"errors"
	"fmt"
	"math"
)

// InputError is an input outside its domain.
type InputError struct {
	Field string  // name of the parameter or struct field, e.g. "usdPerHour"
	Value float64 // what was given
	Want  string  // the domain, in words
}

func (e *InputError) Error() string {
	return fmt.Sprintf("econ: %s = %v: want %s", e.Field, e.Value, e.Want)
}

// require returns nil if ok holds and an *InputError otherwise.
func require(ok bool, field string, v float64, want string) error {
	if ok {
		return nil
	}
	return &InputError{Field: field, Value: v, Want: want}
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func positive(field string, v float64) error {
	return require(finite(v) && v > 0, field, v, "a finite number > 0")
}

func nonNegative(field string, v float64) error {
	return require(finite(v) && v >= 0, field, v, "a finite number >= 0")
}

func fraction(field string, v float64) error {
	return require(v >= 0 && v <= 1, field, v, "a number in [0,1]")
}

func atLeast(minimum int64, field string, v int64) error {
	return require(v >= minimum, field, float64(v), fmt.Sprintf("a whole number >= %d", minimum))
}

// all reports every bad field at once; nil when there is none.
func all(errs ...error) error { return errors.Join(errs...) }
