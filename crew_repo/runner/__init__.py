"""One run of one crew: at each task it decides to execute or to reuse, and writes down what was done."""
