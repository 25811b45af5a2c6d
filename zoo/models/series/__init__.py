"""Models of series: what is seen of them in, a forecast of the steps that follow out."""
