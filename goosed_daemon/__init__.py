"""What a site knows: profiles, tokens, machines, events; and, in `web`, its network face."""
