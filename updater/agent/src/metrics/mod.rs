//! Figures for the node exporter's textfile collector.
