// Package report writes what an analysis says: CSV files, report.md and tables
// for the terminal. Its prose is computed from the analysis; it asserts nothing
// that the rows do not show. Files are written whole or not at all.
package report
