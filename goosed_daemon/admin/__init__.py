"""Administration: what an operator does, on the site's own machine or over HTTP.

Every operation is declared once, with its method, path, role and models, next to the function that
does it. The command line calls it here or by HTTP, the daemon serves it, and OpenAPI describes it:
all from that one declaration.
"""
