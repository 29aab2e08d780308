"""Files: written whole, data points read, labelled data sets kept."""
