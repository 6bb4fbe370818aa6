"""Products with a Jacobian or Hessian, tangent and adjoint, judged by differences of the function."""
