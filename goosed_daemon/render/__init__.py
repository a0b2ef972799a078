"""What machines are given: boot scripts, kickstarts, preseeds. Pure functions over templates."""
