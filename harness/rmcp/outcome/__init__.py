"""What a case did: Attempt -> Outcome, Cause, Signature. Pure; the pattern table is data."""
