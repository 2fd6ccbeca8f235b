"""From outcomes to answers: localise, boundary, env bisect, shrink, policy. Pure cores and a probe runner."""
