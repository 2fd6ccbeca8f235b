"""What pytest sees of rmcp: options, items, reports, terminal, xdist. Loaded only when an rmcp option or mark is used."""
