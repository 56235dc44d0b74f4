from hypothesis import given
from hypothesis import strategies as st

from d_running.java_text import natural_java

TOKENISED = """public static int f_gold ( int arr [ ] , int n ) {
  HashMap < Integer , Integer > hm = new HashMap < > ( ) ;
  int [ ] two = { 0 , - 1 } ;
  for ( int i = 0 ;
  i < n - 1 ;
  i ++ ) if ( arr [ i ] <= - n ) ++ two [ 0 ] ;
  do {
    n = ( int ) - 1.5 ;
  }
  while ( n > 0 ) ;
  if ( hm . containsKey ( arr [ 0 ] ) ) {
    return f_gold ( arr , ! true ? 1 : - 1 ) ;
  }
  else {
    System . out . println ( "f ( x ) ; {" ) ;
  }
  return 'x' ;
}
"""
NATURAL = """int solution(int arr[], int n) {
    HashMap<Integer, Integer> hm = new HashMap<>();
    int[] two = {0, -1};
    for (int i = 0; i < n - 1; i++) if (arr[i] <= -n) ++two[0];
    do {
        n = (int) -1.5;
    } while (n > 0);
    if (hm.containsKey(arr[0])) {
        return solution(arr, !true ? 1 : -1);
    } else {
        System.out.println("f ( x ) ; {");
    }
    return 'x';
}"""


def test_tokenised_code_becomes_natural():
    assert natural_java(TOKENISED) == NATURAL


def test_natural_code_keeps_its_lines_and_spaces():
    code = "int solution(int[] a) {\n    for (;;)\n        if (a[0] < 1)\n            return  1;\n}"
    assert natural_java(code) == code
    assert natural_java("public static final " + code.replace("solution", "f_gold")) == code
    assert natural_java(NATURAL) == NATURAL


@given(st.text(alphabet="ab1(){};,<>=+-!.[] \n\"'/:", max_size=60))
def test_any_text_is_laid_out_once(text):
    once = natural_java("int f_gold ( int a ) { " + text)
    assert "".join(once.split()) == "".join(("int solution ( int a ) { " + text).split())
