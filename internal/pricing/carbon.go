package pricing

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"github.com/phasebench/phasebench/configs"
	"github.com/phasebench/phasebench/internal/plainyaml"
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
	data, err := plainyaml.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return parseCarbon(path, data)
}

// CarbonRegion returns the region that a user means by what, which is the path
// of a carbon file, the name of a region of the built-in one, or empty for the
// built-in one's default; name is the region in the file, empty for its default.
func CarbonRegion(what, name string) (*Region, error) {
	if _, err := os.Stat(what); what != "" && err == nil {
		c, err := LoadCarbon(what)
		if err != nil {
			return nil, err
		}
		return c.RegionNamed(name)
	}
	c, err := parseCarbon("configs/carbon.yaml", configs.Carbon)
	if err != nil {
		return nil, err
	}
	region, err := c.RegionNamed(what)
	if err != nil {
		err = fmt.Errorf("%w; nor is there a file %s", err, what)
	}
	return region, err
}

func parseCarbon(path string, data []byte) (*Carbon, error) {
	var c Carbon
	f, err := decode(path, data, &c)
	if err != nil {
		return nil, err
	}
	var seen names
	for i, r := range c.Regions {
		at := fmt.Sprintf("$.regions[%d]", i)
		seen.add(f, at, r.Name)
		f.checkSource(at, r.Source)
		f.amount(at+".g_per_kwh", "g_per_kwh", r.GPerKWh)
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
