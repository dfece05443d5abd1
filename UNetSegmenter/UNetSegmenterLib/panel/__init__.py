"""What a person sees and presses in Slicer; Qt, never torch."""
