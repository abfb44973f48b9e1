package analyze

import (
	"slices"
	"strings"

	"github.com/phasebench/phasebench/internal/record"
)

// deviceOf names a kind of device in a pool.
type deviceOf struct{ pool, kind string }

// places says what sets apart the machines that rows come from.
type places struct {
	pools   set
	hosts   map[string]*set   // by pool
	devices map[deviceOf]*set // of rows that ran
}

func placesOf(rows []record.Record) places {
	p := places{hosts: map[string]*set{}, devices: map[deviceOf]*set{}}
	for i := range rows {
		r := &rows[i]
		p.pools.add(r.Pool)
		addTo(p.hosts, r.Pool, r.Host)
		if r.Status == record.StatusOK {
			addTo(p.devices, deviceOf{r.Pool, r.DeviceKind}, r.Device)
		}
	}
	return p
}

func addTo[K comparable](sets map[K]*set, key K, v string) {
	if sets[key] == nil {
		sets[key] = &set{}
	}
	sets[key].add(v)
}

// backend returns the name of a backend with the machines it ran on, where those
// of rows differ: the pool if there are several, and the device if there are
// several of its kind in the pool. Hosts that are alike are no difference.
func (p places) backend(name string, at record.Place, kind, device string) string {
	var where []string
	if len(p.pools.list) > 1 && at.Pool != "" {
		where = append(where, at.Pool)
	}
	several := func(s *set) bool { return s != nil && len(s.list) > 1 }
	if device != "" && several(p.hosts[at.Pool]) && several(p.devices[deviceOf{at.Pool, kind}]) {
		where = append(where, device)
	}
	if where == nil {
		return name
	}
	return name + " @ " + strings.Join(where, ", ")
}

// byPlace gives what was measured on different machines different backends, so
// that nothing takes them for one.
func byPlace(rows []record.Record, opts *Options) []record.Record {
	p := placesOf(rows)
	rows = slices.Clone(rows)
	for i := range rows {
		r := &rows[i]
		r.Backend = p.backend(r.Backend, r.Place, r.DeviceKind, r.Device)
	}
	opts.Windows = slices.Clone(opts.Windows)
	for i := range opts.Windows {
		w := &opts.Windows[i]
		w.Backend = p.backend(w.Backend, w.Place, w.DeviceKind, w.Device)
	}
	opts.KV = slices.Clone(opts.KV)
	for i := range opts.KV {
		k := &opts.KV[i]
		k.Backend = p.backend(k.Backend, k.Place, "", "") // its bytes are the same on any device
	}
	opts.Quality = slices.Clone(opts.Quality)
	for i := range opts.Quality {
		q := &opts.Quality[i]
		q.Backend = p.backend(q.Backend, q.Place, q.DeviceKind, q.Device)
	}
	return rows
}

// hosts lists the machines that measured a group.
func (g *Group) hosts() []string {
	var out set
	for _, r := range g.Rows {
		out.add(r.Host)
	}
	return out.list
}

// hosts lists the machines that measured a configuration.
func (c *Config) hosts() []string {
	var out set
	for _, g := range c.Groups {
		for _, host := range g.hosts() {
			out.add(host)
		}
	}
	return out.list
}

// pool is the kind of machines that measured a configuration.
func (c *Config) pool() string { return c.first().Pool }

// warnHosts notes what is compared across machines.
func (a *Analysis) warnHosts(w *warnings) {
	hosts := make([][]string, len(a.Configs))
	for i, c := range a.Configs {
		if hosts[i] = c.hosts(); len(hosts[i]) > 1 {
			w.add(c.ConfigKey.String(), "was measured on several hosts: %s", strings.Join(hosts[i], ", "))
		}
	}
	for i, x := range a.Configs {
		for j, y := range a.Configs[i+1:] {
			hx, hy := hosts[i], hosts[i+1+j]
			if x.Model == y.Model && x.Device == y.Device && x.pool() == y.pool() && hx != nil && hy != nil && !slices.Equal(hx, hy) {
				w.add(x.ConfigKey.String()+" and "+y.Backend, "backends of one model ran on different hosts, whose difference is part of theirs")
			}
		}
	}
}
