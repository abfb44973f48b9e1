// Package configs holds the files that the program falls back on when it is
// given none.
package configs

import _ "embed"

// Carbon is carbon.yaml.
//
//go:embed carbon.yaml
var Carbon []byte
