"""The pictures of docs/course, drawn from the sample scan, synthetic hearts and the networks themselves."""
