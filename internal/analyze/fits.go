package analyze

import "github.com/phasebench/phasebench/econ"

// fits reports whether a configuration's model has positions for so many tokens;
// true where its shape is not known.
func (a *Analysis) fits(c *Config, tokens int) bool {
	for _, m := range a.Models {
		if m.Name == c.Model && m.Info != nil && m.Info.CtxTrain > 0 {
			return tokens <= int(m.Info.CtxTrain)
		}
	}
	return true
}

// serves reports whether a configuration could serve a request: it has the
// positions and decodes with the cache. Without the cache a token takes the
// longer the more are before it, so that its rate holds for no other length than
// was measured.
func (a *Analysis) serves(c *Config, r econ.Request) bool {
	return c.DecodeMode != "uncached" && a.fits(c, r.PromptTokens+r.GenTokens)
}
