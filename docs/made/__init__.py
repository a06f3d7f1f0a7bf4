"""What the pages of the site take from the code when it is built, so that they cannot say anything else."""
