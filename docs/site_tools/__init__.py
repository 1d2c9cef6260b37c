"""What turns `docs/` into the site: guides, reference pages and the page of the command line."""
