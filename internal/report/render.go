package report

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/phasebench/phasebench/internal/analyze"
)

// CSV writes a table for machines: columns by name, numbers in full precision,
// absent cells empty.
func CSV(w io.Writer, t *analyze.Table) error {
	out := csv.NewWriter(w)
	line := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		line[i] = c.Name
	}
	if err := out.Write(line); err != nil {
		return err
	}
	for _, row := range t.Rows {
		for i, cell := range row {
			line[i] = exact(cell)
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// JSON writes tables for machines, {"synthetic": [...], "tables": [...]}: the
// models whose weights are random numbers, and each table with its rows as
// arrays in the order of its columns, a row a line, absent cells null, and why
// it has none when it is empty.
func JSON(tables []*analyze.Table, synthetic []string) ([]byte, error) {
	type column struct {
		Name string `json:"name"`
		Unit string `json:"unit,omitempty"`
	}
	var out bytes.Buffer
	models, err := json.Marshal(named(synthetic))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&out, "{\"synthetic\": %s,\n\"tables\": [", models)
	for i, t := range tables {
		var columns []column
		for _, c := range t.Columns {
			columns = append(columns, column{c.Name, c.Unit})
		}
		head, err := json.Marshal(struct {
			Name    string   `json:"name"`
			Section string   `json:"section,omitempty"`
			Title   string   `json:"title"`
			Missing string   `json:"missing,omitempty"`
			Notes   []string `json:"notes,omitempty"`
			Columns []column `json:"columns"`
		}{t.Name, t.Section, t.Title, t.Missing, t.Notes, columns})
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&out, "%s%s,\n \"rows\": [", separator(i), bytes.TrimSuffix(head, []byte("}")))
		for j, row := range t.Rows {
			line, err := json.Marshal(row)
			if err != nil {
				return nil, fmt.Errorf("table %s: %w", t.Name, err)
			}
			out.WriteString(separator(j))
			out.Write(line)
		}
		out.WriteString("]}")
	}
	out.WriteString("]}\n")
	return out.Bytes(), nil
}

// named returns names so that none are an empty list in JSON, not null.
func named(names []string) []string { return append([]string{}, names...) }

func separator(i int) string {
	if i == 0 {
		return "\n"
	}
	return ",\n"
}

// exact formats a cell so that it reads back as the same value.
func exact(cell any) string {
	switch v := cell.(type) {
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return fmt.Sprint(cell)
}

// Text renders a table for a terminal. Columns without any value are left out.
func Text(t *analyze.Table) string {
	w, _ := writer(t, "\n")
	w.SetStyle(table.StyleLight)
	w.Style().Format.Header = text.FormatDefault
	return w.Render()
}

// Markdown renders a table for a document, its notes below it. Columns without
// any value are left out.
func Markdown(t *analyze.Table) string {
	w, notes := writer(t, " ")
	out := w.RenderMarkdown() + "\n"
	for _, note := range notes {
		out += "\n" + note + "\n"
	}
	return out
}

func writer(t *analyze.Table, beforeUnit string) (w table.Writer, notes []string) {
	t = t.ForPeople()
	w = table.NewWriter()
	header := make(table.Row, len(t.Columns))
	configs := make([]table.ColumnConfig, len(t.Columns))
	for i, c := range t.Columns {
		title := title(c)
		if c.Unit != "" {
			title += beforeUnit + c.Unit
		}
		header[i] = title
		align := text.AlignLeft
		if numeric(t, i) {
			align = text.AlignRight
		}
		configs[i] = table.ColumnConfig{Number: i + 1, Align: align, AlignHeader: align}
	}
	w.AppendHeader(header)
	w.SetColumnConfigs(configs)
	for _, row := range t.Rows {
		line := make(table.Row, len(row))
		for i, cell := range row {
			line[i] = human(cell, t.Columns[i].Digits)
		}
		w.AppendRow(line)
	}
	return w, t.Notes
}

// title is what people read above a column, besides its unit.
func title(c analyze.Column) string { return cmp.Or(c.Title, strings.ReplaceAll(c.Name, "_", " ")) }

func numeric(t *analyze.Table, column int) bool {
	for _, row := range t.Rows {
		switch row[column].(type) {
		case int, int64, float64:
			return true
		case string, bool:
			return false
		}
	}
	return false
}

// human formats a cell for people.
func human(cell any, digits int) string {
	switch v := cell.(type) {
	case nil:
		return "–"
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case float64:
		if digits == 0 {
			digits = 4
		}
		return significant(v, digits)
	}
	return fmt.Sprint(cell)
}

// tiny is the size below which numbers are shown with an exponent.
const tiny = 1e-7

// significant formats v with that many significant digits, and no exponent
// unless it is tiny; digits before the point are never rounded away.
func significant(v float64, digits int) string {
	if v == 0 {
		return "0"
	}
	if math.Abs(v) < tiny {
		return strconv.FormatFloat(v, 'e', digits-1, 64)
	}
	decimals := digits - 1 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', max(0, decimals), 64)
}
