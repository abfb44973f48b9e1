// Package econ turns measured speed and energy into money, carbon and
// capacity. It is a set of pure functions: no I/O, no prices of its own, no
// dependency outside the standard library.
//
// # Conventions
//
// Units are in names. A price for tokens is in US dollars per million tokens
// (USDPerM). An input outside its domain, NaN and infinities included, is
// refused with an *[InputError] that names the field. What was not measured is
// a nil pointer, never zero: a [Cost] without energy says so instead of
// pretending that the energy was free.
//
// "TR123" in the comments is Technical Report 123, KV-Cache Production
// Economics; the section number follows. Where that report's own estimator
// differs from what this package recommends, the report's form is in tr123.go
// and is named so.
package econ
