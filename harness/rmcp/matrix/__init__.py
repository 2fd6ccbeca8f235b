"""The matrix language: YAML text -> Matrix -> Plan of Cases. Pure but for reading the file."""
