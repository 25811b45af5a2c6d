"""What one does with a forecaster that is there: measure it window by window, draw its forecasts and where it looks."""
