"""Pictures of networks: laid out by stage and column, drawn as SVG and as an HTML report."""
