//! Figures for node exporters.
