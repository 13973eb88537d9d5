"""Meta-training as a run: what is trained, the loop over meta-steps, its files, hosts, memory and reports."""
