"""What a site does with verified content: imports, receipts, looking into bundles."""
