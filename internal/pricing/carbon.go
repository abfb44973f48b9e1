package pricing

import (
	"cmp"
	"fmt"
	"strings"
)

// Carbon is a carbon file.
type Carbon struct {
	Region  string   `yaml:"region"` // default region
	Regions []Region `yaml:"regions"`
}

// Region is the carbon intensity of a place's electricity.
type Region struct {
	Name    string  `yaml:"name"`
	GPerKWh float64 `yaml:"g_per_kwh"` // grams of CO2 equivalent, >= 0
	Source  `yaml:",inline"`
}

// LoadCarbon reads the carbon file at path.
func LoadCarbon(path string) (*Carbon, error) {
	var c Carbon
	f, err := read(path, &c)
	if err != nil {
		return nil, err
	}
	var seen names
	for i, r := range c.Regions {
		at := fmt.Sprintf("$.regions[%d]", i)
		seen.add(f, at, r.Name)
		f.checkSource(at, r.Source)
		f.checkf(at+".g_per_kwh", r.GPerKWh >= 0, "g_per_kwh must be >= 0")
	}
	_, err = c.RegionNamed("")
	f.checkf("$.region", err == nil, "%v", err)
	return &c, f.err()
}

// RegionNamed returns the region of that name; the empty name is the file's
// default. An unknown name is an error that lists the known ones.
func (c *Carbon) RegionNamed(name string) (*Region, error) {
	name = cmp.Or(name, c.Region)
	var have []string
	for i := range c.Regions {
		if c.Regions[i].Name == name {
			return &c.Regions[i], nil
		}
		have = append(have, c.Regions[i].Name)
	}
	return nil, fmt.Errorf("no region named %q; known: %s", name, strings.Join(have, ", "))
}
