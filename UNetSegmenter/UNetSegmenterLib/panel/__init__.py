"""What the user sees and presses in Slicer; Qt, never torch."""
