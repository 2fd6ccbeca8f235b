"""Where convolutions of other programs come from: MIOpen's command log and CSV files -> convolutions with
counts."""
