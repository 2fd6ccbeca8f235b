"""What pytest sees of rmcp: options, items, reports, terminal, xdist, isolated tests. Loaded only when used."""
