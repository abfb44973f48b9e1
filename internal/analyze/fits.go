package analyze

// serving are the configurations that decode with the cache. Without it a token
// takes the longer the more are before it, so that its rate holds for no other
// length than was measured, and no request is made of it.
func (a *Analysis) serving() []*Config {
	var out []*Config
	for _, c := range a.Configs {
		if c.DecodeMode != "uncached" {
			out = append(out, c)
		}
	}
	return out
}

// fits reports whether a configuration's model has positions for so many tokens;
// true where its shape is not known.
func (a *Analysis) fits(c *Config, tokens int) bool {
	for _, m := range a.Models {
		if m.Name == c.Model && m.Info != nil && m.Info.CtxTrain > 0 {
			return tokens <= m.Info.CtxTrain
		}
	}
	return true
}
