"""One run as it happens: cases in, attempts judged, records journalled; what pytest and the probes share."""
